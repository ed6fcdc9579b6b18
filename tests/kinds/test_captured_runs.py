"""States of roles that answer, judge and verify: stored beside the results of any kind that runs."""

import json
import random
import signal
import time

import pytest
import small_models

import ullage
from ullage.errors import InputError, SpecError

EVALUATE = """
kind: evaluate
roles:
  generator: {model: MODEL, batch: 4}
  judge: {model: MODEL, batch: 4}
budget: {gpus: cpu}
prompt_tokens: 96
new_tokens: 6
examples: 8
captures:
  - {role: generator, sites: ["blocks.*.hook_resid_post"], positions: all}
  - {role: judge, sites: [ln_final], positions: last}
evaluate: {input: questions.jsonl, samples: 2}
"""
PII = """
kind: pii
roles: {verifier: {model: MODEL, batch: 4}}
budget: {gpus: cpu}
prompt_tokens: 200
examples: 12
captures:
  - {sites: [ln_final, blocks.0.hook_resid_post], positions: last}
pii: {input: records.jsonl, candidates_per_record: 2, prefix_tokens: 320}
"""


@pytest.fixture(scope="session")
def chat_model(tmp_path_factory):
    return small_models.save(
        tmp_path_factory.mktemp("models") / "chat", "llama", hidden=64, layers=2, chat=True
    )


@pytest.fixture
def work(tmp_path, chat_model):
    questions = [
        {"id": f"q{n}", "question": f"Where does person {n} live?", "references": ["Rask"]} for n in range(8)
    ]
    (tmp_path / "questions.jsonl").write_text("\n".join(map(json.dumps, questions)))
    records = []
    for n in range(12):
        text = f"call 555-01{n:02} or cat-{n}@example.org"
        spans = [("phone", f"555-01{n:02}"), ("email", f"cat-{n}@example.org")]
        found = [
            {"type": kind, "start": text.index(value), "end": text.index(value) + len(value)}
            for kind, value in spans
        ]
        records.append({"id": f"r{n}", "text": text, "candidates": found})
    (tmp_path / "records.jsonl").write_text("\n".join(map(json.dumps, records)))
    for name, file in (("evaluate", EVALUATE), ("pii", PII)):
        (tmp_path / f"{name}.yaml").write_text(file.replace("MODEL", str(chat_model)))
    return tmp_path


def run(work, kind, name, *overrides):
    folder = work / name
    ullage.run(ullage.load(work / f"{kind}.yaml", overrides), folder, base=work)
    return folder


def plain(chat_model, tokens, sites):
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(chat_model)
    return ullage.Extractor(model, sites).read([tokens])[0].states


def contents(folder):
    files = (*(folder / "states").iterdir(), *folder.glob("*.jsonl"))
    kept = {
        path.name: path.read_bytes() for path in files if path.name not in ("log.jsonl", "timeline.jsonl")
    }
    if "verified.jsonl" in kept:  # its journal has times
        del kept["journal.jsonl"]
    return kept


def test_answers_and_judgements_leave_the_states_they_were_made_of(work, chat_model):
    folder = run(work, "evaluate", "run")
    store = ullage.open_states(folder)
    answers, judged = store.of("generator"), store.of("judge")
    assert [row["id"] for row in store.of("generator", "greedy").rows] == [f"q{n}" for n in range(8)]
    drawn = store.of("generator", "samples").rows
    assert [(row["index"], row["part"]) for row in drawn] == [(n, k) for n in range(8) for k in (1, 2)]
    greedy = {row["index"]: row for row in map(json.loads, (folder / "greedy.jsonl").open())}
    for place in (0, 5, 13, 20):
        row = answers.rows[place]
        if row["stage"] == "greedy":
            assert (
                row["tokens"][row["prompt_tokens"] :][: len(greedy[row["index"]]["tokens"])]
                == (greedy[row["index"]]["tokens"])
            )
        wanted = plain(chat_model, row["tokens"][:-1], ["blocks.*.hook_resid_post"])
        for site, states in answers[place].items():
            assert states.shape == wanted[site].shape
            assert (states - wanted[site]).abs().max() < 2e-5
    for place, row in enumerate(judged.rows):
        wanted = plain(chat_model, row["tokens"], ["ln_final"])["ln_final"][-1:]
        assert (judged[place]["ln_final"] - wanted).abs().max() < 2e-5
    assert len(judged) == 8


@pytest.mark.long
@pytest.mark.parametrize("positions", ["last", "last:3", "mean", "all"])
def test_verdicts_leave_the_states_they_were_read_from(work, chat_model, positions):
    store = ullage.open_states(run(work, "pii", "run", f"captures.0.positions={positions}"))
    named = [(row["id"], row["part"]) for row in store.rows]
    assert named == [(f"r{n}", part) for n in range(12) for part in (0, 1)]
    for place in range(0, len(store), 5):
        wanted = plain(chat_model, store.rows[place]["tokens"], ["ln_final", "blocks.0.hook_resid_post"])
        for site, whole in wanted.items():
            mean = whole.mean(0, keepdim=True)
            kept = {"last": whole[-1:], "last:3": whole[-3:], "mean": mean, "all": whole}[positions]
            assert (store[place][site] - kept).abs().max() < 2e-5


@pytest.mark.parametrize("kind", ["evaluate", "pii"])
@pytest.mark.long
def test_a_run_killed_at_random_ends_with_the_same_states(work, kind, forks):
    whole = run(work, kind, "whole")
    chance, killed = random.Random(kind), work / "killed"
    slow = "import time; from ullage.capture.store import ShardStore; write = ShardStore._write\n"
    slow += "def late(self): found = write(self); time.sleep(0.15); return found\n"
    slow += "ShardStore._write = late\n"
    arguments = ["run", work / f"{kind}.yaml", "--out", killed, "--quiet"]
    kills = 0

    def at_random(_):
        time.sleep(0.05)
        return kills < 3 and (killed / "states").exists() and chance.random() < 0.3

    while not (killed / "record.json").exists():
        done = forks.run(*arguments, first=slow, when=at_random)
        kills += done.returncode == -signal.SIGKILL
        assert kills or done.returncode == 0
        if (killed / "manifest.json").exists():
            arguments = ["run", "--resume", killed, "--quiet"]
    assert kills
    assert contents(killed) == contents(whole)


def test_judging_again_keeps_the_states_of_what_is_kept(work):
    folder = run(work, "evaluate", "run")
    again = work / "again"
    ullage.judge(folder, again, ["evaluate.judge_system=Be strict."])
    old, new = ullage.open_states(folder), ullage.open_states(again)
    assert [row["tokens"] for row in old.of("generator").rows] == [
        row["tokens"] for row in new.of("generator").rows
    ]
    assert old.of("judge").rows[0]["tokens"] != new.of("judge").rows[0]["tokens"]
    with pytest.raises(InputError, match="generator have changed"):
        ullage.judge(folder, work / "third", ["captures.0.positions=last"])


def test_one_matrix_is_of_one_role(work):
    both = ["captures.1.sites=[blocks.1.hook_resid_post]"]
    store = ullage.open_states(run(work, "evaluate", "run", *both))
    with pytest.raises(InputError, match=r"store\.of"):
        store.matrix("blocks.1.hook_resid_post")
    assert store.of("judge").matrix("blocks.1.hook_resid_post").shape == (8, 64)
    with pytest.raises(ullage.errors.UnknownNameError, match="stage"):
        store.of("judge", "greedy")


@pytest.mark.parametrize(
    ("kind", "overrides", "wrong"),
    [
        ("evaluate", ["captures.0.positions=span", "captures.0.span_tokens=3"], "use all, last or mean"),
        (
            "evaluate",
            ["roles.similarity={model: ullage:tiny}", "captures.1.role=similarity"],
            "role similarity compares whole texts",
        ),
        ("pii", ["captures.0.positions=span", "captures.0.span_tokens=3"], "use all, last or mean"),
    ],
)
def test_captures_that_cannot_be_carried_out_are_refused(work, kind, overrides, wrong):
    with pytest.raises(SpecError, match=wrong):
        ullage.load(work / f"{kind}.yaml", overrides)
