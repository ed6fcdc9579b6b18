"""Servers that misbehave in ninety ways: nothing breaks, no answer is lost, no label is wrong."""

import json

import pyarrow.parquet
import pytest
from odd_replies import REPLIES
from remote_server import Server, completion

import ullage

SLOW = ("slow", "dripping")
NAMES = tuple(name for name in REPLIES if name not in SLOW)
TOP = (("yes", -0.2), ("no", -2.0))
REMOTE = {
    "model": "served",
    "engine": "openai",
    "openai": {"key_env": "TEST_KEY", "retries": 0, "timeout_seconds": 60.0, "concurrency": 8},
}


@pytest.fixture(scope="module")
def server():
    """Sends the reply that a prompt names in quotes; a good one has the text after 'says'."""
    made = Server(None)

    def behave(body, seen):
        asked = body["messages"][-1]["content"]
        name = next(name for name in REPLIES if f"<{name}>" in asked)
        return REPLIES[name].make(completion(made.text, TOP))

    made.behave = behave
    yield made
    made.http.shutdown()


def write_lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def evaluate(folder, server, text, remote, names=NAMES, seconds=60.0, **section):
    """A run in which role `remote` is behind the server, whose good replies are `text`."""
    server.text = text
    questions = [
        {"id": name, "question": f"What is <{name}>?", "references": ["Paris"] if number % 2 else []}
        for number, name in enumerate(names)
    ]
    write_lines(folder / "questions.jsonl", questions)
    write_lines(folder / "script.jsonl", [{"text": "Paris", "scores": {"yes": -0.1, "no": -3.0}}])
    settings = {**REMOTE["openai"], "base_url": server.url, "timeout_seconds": seconds}
    role = {**REMOTE, "openai": settings}
    script = {"model": "script.jsonl", "engine": "scripted"}
    roles = {"generator": script, "judge": script}
    body = {
        "kind": "evaluate",
        "roles": roles | {remote: role},
        "budget": {"gpus": "cpu"},
        "new_tokens": 8,
        "evaluate": {"input": "questions.jsonl", **section},
    }
    _, record = ullage.run(ullage.load(body), folder / "run", base=folder)
    rows = pyarrow.parquet.read_table(folder / "run" / "results.parquet").to_pylist()
    assert [row["id"] for row in rows] == list(names)
    return record, {row["id"]: row for row in rows}


def test_every_odd_reply_to_a_question_is_an_answer_or_a_reason(tmp_path, server, monkeypatch):
    monkeypatch.setenv("TEST_KEY", "sk-test-92")
    record, rows = evaluate(tmp_path, server, "Paris", "generator")
    bad = [name for name in NAMES if not REPLIES[name].text]
    assert len(bad) >= 50
    for name, row in rows.items():
        odd = REPLIES[name]
        if odd.text:
            assert (row["failed"], row["answer"]) == (None, "Paris"), name
            assert row["exact_match"] == (NAMES.index(name) % 2), name
            assert row["judge_verdict"] == "yes", name
        else:
            assert row["failed"], name
            assert odd.says in row["failed"], (name, row["failed"])
            assert row["answer"] == "", name
            assert (row["exact_match"], row["f1"], row["judge_verdict"]) == (None, None, None), name
            assert "sk-test-92" not in row["failed"]
    (failing,) = record.outcome["failed"]
    assert (failing["failed"], failing["asked"], failing["what"]) == (len(bad), len(NAMES), "answers")


@pytest.mark.parametrize("role, by", [("generator", "text"), ("judge", "text"), ("judge", "probabilities")])
def test_a_server_that_is_too_slow_is_left(tmp_path, server, monkeypatch, role, by):
    monkeypatch.setenv("TEST_KEY", "sk-test-92")
    _, rows = evaluate(tmp_path, server, "yes", role, SLOW, 0.5, judge_by=by)
    for row in rows.values():
        reason = row["failed"] if role == "generator" else row["judge_unscored_because"]
        assert "no answer within 0.5 s" in reason or "takes longer than 0.5 s" in reason
        assert row["judge_verdict"] is None


@pytest.mark.parametrize("by", ["text", "probabilities"])
def test_every_odd_reply_of_a_judge_is_a_verdict_or_unscored(tmp_path, server, monkeypatch, by):
    monkeypatch.setenv("TEST_KEY", "sk-test-92")
    record, rows = evaluate(tmp_path, server, "yes", "judge", judge_by=by)
    good = {name: REPLIES[name].text if by == "text" else REPLIES[name].weighed for name in NAMES}
    for name, row in rows.items():
        assert row["answer"] == "Paris", name
        assert row["judge_verdict"] == ("yes" if good[name] else None), (name, row["judge_unscored_because"])
        assert bool(row["judge_unscored_because"]) != good[name], name
        if not good[name] and by == "text":
            assert REPLIES[name].says in row["judge_unscored_because"], name
    (failing,) = record.outcome["failed"]
    # A server that answers with other words than a verdict has not failed: that is the judge's own doing.
    silent = sum("did not answer" in (row["judge_unscored_because"] or "") for row in rows.values())
    assert silent == (by == "probabilities")
    failed = list(good.values()).count(False) - silent
    assert (failing["failed"], failing["what"]) == (failed, "verdicts of judge")


def test_every_odd_reply_of_a_verifier_leaves_its_candidate_marked(tmp_path, server, monkeypatch):
    monkeypatch.setenv("TEST_KEY", "sk-test-92")
    server.text = "yes"
    records = []
    for number, name in enumerate(NAMES):
        text = f"<{name}> call 555-{number:04d} now"
        at = text.index("555-")
        records.append(
            {"id": name, "text": text, "candidates": [{"type": "phone", "start": at, "end": at + 8}]}
        )
    write_lines(tmp_path / "records.jsonl", records)
    role = {**REMOTE, "openai": {**REMOTE["openai"], "base_url": server.url}}
    body = {
        "kind": "pii",
        "roles": {"verifier": role},
        "budget": {"gpus": "cpu"},
        "pii": {"input": "records.jsonl", "redact": "tag"},
    }
    ullage.run(ullage.load(body), tmp_path / "run", base=tmp_path)
    rows = [json.loads(line) for line in (tmp_path / "run" / "verified.jsonl").open()]
    failed = {json.loads(line)["id"] for line in (tmp_path / "run" / "failed.jsonl").open()}
    assert [row["id"] for row in rows] == list(NAMES)
    assert failed == {name for name in NAMES if not REPLIES[name].weighed}
    assert all("555-" not in row["redacted"] for row in rows)
