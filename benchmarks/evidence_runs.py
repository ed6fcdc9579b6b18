"""Whether what a run takes stays within its plan, whatever evidence lies in the data home.

    python benchmarks/evidence_runs.py [WORKLOAD ...]  # prints, and writes results/evidence_runs.json

Every row is `ullage run` and `ullage verify` in processes and data homes of their own: workloads with the
bundled model and with a random Llama of 80 million parameters, with one and two threads, with evidence of
0, 1, 2 and 40 observations. Each file plans for its texts as they are: for the next round number above the
longest. The 40 are of the workload itself, three of them five times as large and three
as small as can be; beside them stand lines of other threads and versions, of Ullage 0.1, and garbage.
`demo` is what `make demo` runs, in its order and in one data home that is empty at first, five times.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import result_file
import small_models

import ullage
from ullage.records.observation import Key, Observation, line_of, shape_of

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
MIB = 2**20
EVIDENCE = (0, 40, 1, 2)
THREADS = (1, 2)
REPETITIONS = 5
USEFUL = 1.5
DEMO = ("small/extract.yaml", "evaluate-tiny.yaml", "pii-tiny.yaml")
SAMPLES = (
    ("answer", "answer", 200),
    ("answer", "questions", 334),
    ("answer-hard", "hard", 166),
    ("verify", "verify", 500),
)
"""Task, file and number of examples that `make demo` writes to .demo."""
KEY = """
import json
from dataclasses import asdict
from ullage.facts.machine import processor
from ullage.records.observation import key_of
from ullage.runtime.machine import environment
print(json.dumps(asdict(key_of(environment(processor())))))
"""


def ullage_command(home: Path, threads: int, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`ullage ARGUMENTS` with a data home and a number of threads."""
    return python(home, threads, "-m", "ullage", *arguments)


def python(home: Path, threads: int, *arguments: str) -> subprocess.CompletedProcess[str]:
    own = {"ULLAGE_HOME": str(home), "OMP_NUM_THREADS": str(threads), "HF_HUB_OFFLINE": "1"}
    return subprocess.run(
        [sys.executable, *arguments], env=os.environ | own, capture_output=True, text=True, check=False
    )


def write_workloads(folder: Path) -> dict[str, Path]:
    """The workload files by name, with what they read."""
    for task, name, count in (("answer", "questions", 40), ("verify", "verify", 200)):
        ullage.sample(task, folder / f"{name}.jsonl", count=count)
    small_models.save(folder / "llama", "llama", hidden=640, heads=10, kv_heads=5, layers=16)
    small_models.write_tokens(folder / "tokens.jsonl", [128, 128], 300)

    def extraction(model: str, precision: str, source: str) -> dict[str, Any]:
        capture = {"sites": ["blocks.*.hook_resid_post"], "positions": "last", "keep": "disk"}
        return {
            "kind": "extract",
            "roles": {"model": {"model": model, "precision": precision}},
            "prompt_tokens": 256 if model.startswith("ullage") else 128,
            "batch": 8 if model.startswith("ullage") else 2,
            "examples": 40,
            "captures": [capture],
            "extract": {"input": source},
        }

    role = {"model": "ullage:tiny", "batch": 16}
    bodies: dict[str, dict[str, Any]] = {
        "extract": extraction("ullage:tiny", "auto", "questions.jsonl"),
        "evaluate": {
            "kind": "evaluate",
            "schedule": "sequential",
            "roles": {"generator": role, "judge": role | {"prompt_tokens": 96}},
            "prompt_tokens": 128,
            "new_tokens": 16,
            "examples": 40,
            "evaluate": {
                "input": ["questions.jsonl"],
                "fields": {"references": "truth", "context": "context"},
                "instruction": "Be honest. Answer briefly.",
                "template": "{context} {question}",
                "samples": 4,
                "judge_system": "Judge whether the answer is correct. Reply {verdicts}.",
                "judge_unanswerable": "unknown",
            },
        },
        "pii": {
            "kind": "pii",
            "roles": {"verifier": {"model": "ullage:tiny", "batch": 64}},
            "prompt_tokens": 96,
            "new_tokens": 0,
            "examples": 200,
            "pii": {
                "input": "verify.jsonl",
                "system": "Verify personal data. Type: {type}. Reply {verdicts}.",
                "prefix_tokens": 24,
                "candidates_per_record": 1,
            },
        },
        "tiny-nf4": extraction("ullage:tiny", "nf4", "questions.jsonl"),
        "tiny-int8": extraction("ullage:tiny", "int8", "questions.jsonl"),
        "llama-fp32": extraction("llama", "fp32", "tokens.jsonl"),
        "llama-bf16": extraction("llama", "bf16", "tokens.jsonl"),
        "llama-nf4": extraction("llama", "nf4", "tokens.jsonl"),
        "llama-int8": extraction("llama", "int8", "tokens.jsonl"),
    }
    files = {}
    for name, body in bodies.items():
        files[name] = folder / f"{name}.json"
        files[name].write_text(json.dumps(body | {"budget": {"gpus": "cpu"}}))
    return files


def seed(home: Path, count: int, key: Key, workload: str) -> None:
    """Evidence of `count` observations under `key`, and much beside them that is none."""

    def observed(overhead: float, shape: str = workload, where: Key = key) -> str:
        size = int(overhead * MIB)
        held = min(int(490 * MIB), size)
        return line_of(Observation(where, size, held, shape, "phase", "2026-01-01T00:00:00Z", "seeded"))

    home.mkdir(parents=True)
    if count == 0:
        return
    own = [observed(540 + index % 20) for index in range(count)]
    if count <= 2:
        own[0] = observed(700, "werewolf; player: another/model auto transformers 1 x (1 + 1)")
    else:
        own[3:6] = [observed(2800)] * 3
        own[9:12] = [observed(20)] * 3
    other = Key(key.gpu, key.driver, key.torch, "4.0.0", key.threads)
    more = Key(key.gpu, key.driver, key.torch, key.transformers, key.threads + 6)
    old = {"gpu": "CPU", "driver": key.driver, "torch": key.torch, "transformers": "5.0", "overhead": 7}
    beside = [observed(3000, where=other), observed(100, where=more), json.dumps(old), "garbage", "[]", "{"]
    (home / "evidence.jsonl").write_text("\n".join([*beside, *own]) + "\n")


def measure(file: Path, home: Path, threads: int, out: Path) -> dict[str, Any]:
    """One run and its verification: planned at most beside measured, phase by phase."""
    done = ullage_command(home, threads, "run", str(file), "--out", str(out), "--quiet")
    if done.returncode != 0:
        return {"failed": done.stderr.strip()[-400:]}
    verified = ullage_command(home, threads, "verify", str(out), "--json")
    found = json.loads(verified.stdout)["comparisons"]
    phases = [
        {"phase": c["phase"], "high": c["predicted"]["high"], "measured": c["measured"]}
        for c in found
        if c["what"] == "process"
    ]
    excess = [f"{c['phase']} {c['what']}" for c in found if c["kind"] == "level" and c["verdict"] == "above"]
    return {
        "verified": verified.returncode == 0,
        "excess": excess,
        "peak_ratio": max(p["high"] for p in phases) / max(p["measured"] for p in phases),
        "worst_ratio": max(p["high"] / p["measured"] for p in phases),
        "closest": min(p["high"] / p["measured"] for p in phases),
        "phases": phases,
    }


def rows_of(names: list[str], folder: Path) -> Iterator[dict[str, Any]]:
    """Every workload with every number of threads and every evidence; then the demo, again and again."""
    files = write_workloads(folder)
    single = [name for name in names if name != "demo"]
    for threads, count in itertools.product(THREADS, EVIDENCE):
        key = Key(**json.loads(python(folder, threads, "-c", KEY).stdout))
        for name in single:
            at = folder / f"{name}-{threads}-{count}"
            seed(at / "home", count, key, shape_of(ullage.load(files[name])))
            row = {"workload": name, "threads": threads, "evidence": count}
            yield row | measure(files[name], at / "home", threads, at / "run")
    if "demo" not in names:
        return
    shutil.copytree(ROOT / "examples", folder / "examples")
    for task, name, count in SAMPLES:
        ullage.sample(task, folder / ".demo" / f"{name}.jsonl", count=count)
    for number in range(REPETITIONS):
        at = folder / f"demo-{number}"
        threads = THREADS[number % len(THREADS)]
        for name in DEMO:
            row = {"workload": f"demo: {name}", "threads": threads, "evidence": "as left"}
            out = at / name.replace("/", "-")
            yield row | measure(folder / "examples" / name, at / "home", threads, out)


def show(row: dict[str, Any]) -> None:
    named = f"{row['workload']:15} {row['threads']} threads, evidence {row['evidence']!s:8}"
    if "failed" in row:
        print(named, "FAILED", row["failed"], flush=True)
        return
    print(
        f"{named} at most / measured: peak {row['peak_ratio']:.2f}, worst phase {row['worst_ratio']:.2f}, "
        f"closest {row['closest']:.2f} {'ok' if row['verified'] else 'EXCEEDS ' + ', '.join(row['excess'])}",
        flush=True,
    )


def main() -> None:
    known = ["extract", "evaluate", "pii", "tiny-nf4", "tiny-int8"]
    known += ["llama-fp32", "llama-bf16", "llama-nf4", "llama-int8", "demo"]
    names = sys.argv[1:] or known
    unknown = [name for name in names if name not in known]
    if unknown:
        sys.exit(f"{unknown[0]}: no such workload; there are {', '.join(known)}")
    made = result_file.start("evidence_runs")
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for row in rows_of(names, Path(folder)):
            rows.append(row)
            show(row)
    ran = [row for row in rows if "failed" not in row]
    figures = {
        "runs": len(rows),
        "exceeded": sum(not row["verified"] for row in ran),
        "largest_peak_ratio": max((row["peak_ratio"] for row in ran), default=None),
        "largest_phase_ratio": max((row["worst_ratio"] for row in ran), default=None),
        "closest": min((row["closest"] for row in ran), default=None),
        "rows": rows,
    }
    claims = {
        "every run ends": len(ran) == len(rows),
        "no run takes more than its plan": figures["exceeded"] == 0,
        f"a process is planned at most {USEFUL} x what it takes": all(
            row["peak_ratio"] <= USEFUL for row in ran
        ),
    }
    made.write(figures, claims)


if __name__ == "__main__":
    main()
