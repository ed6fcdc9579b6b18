"""Candidates without a verdict: told last, allowed up to a share, and never silently left out."""

import json

import pytest
from remote_server import Server, completion

import ullage
from ullage.cli.main import main

WORK = """
kind: pii
roles: {verifier: {model: script.jsonl, engine: scripted, batch: 2}}
budget: {gpus: cpu}
pii: {input: records.jsonl}
"""
SCRIPT = [
    {"contains": "[[mute", "scores": {"yes": float("-inf"), "no": float("-inf")}},
    {"contains": "", "scores": {"yes": -0.1, "no": -3.0}},
]


def write_lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def record(number, word):
    return {
        "id": number,
        "text": f"call {word}-{number} now",
        "candidates": [{"type": "phone", "start": 5, "end": 5 + len(f"{word}-{number}")}],
    }


@pytest.fixture
def ended(tmp_path, monkeypatch):
    """`ended(words, *options)`: the code that a run of records with these words exits with."""
    monkeypatch.chdir(tmp_path)
    write_lines(tmp_path / "script.jsonl", SCRIPT)
    (tmp_path / "work.yaml").write_text(WORK)

    def run(words, *options):
        write_lines(tmp_path / "records.jsonl", [record(*each) for each in enumerate(words)])
        with pytest.raises(SystemExit) as ended:
            main(["run", "work.yaml", "--out", "run", "--quiet", *options])
        return ended.value.code

    return run


def test_a_few_that_failed_are_told_last_and_the_run_is_good(ended, capsys):
    assert ended(["real"] * 19 + ["mute"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "1 of 20 candidates failed: the model did not answer" in lines[-1] + lines[-2]
    assert not any("asks again" in line for line in lines)


def test_more_than_is_allowed_is_exit_code_1(ended):
    assert ended(["real", "mute", "real", "mute"]) == 1


def test_how_many_may_fail_is_the_files_to_say(ended):
    assert ended(["real", "mute"], "--set", "pii.max_failed=0.5") == 0


def test_a_run_in_which_none_failed_says_nothing(ended, capsys):
    assert ended(["real"] * 3) == 0
    assert "failed:" not in capsys.readouterr().out


def test_a_type_without_a_span_counts(ended, tmp_path, capsys):
    assert ended(["real"]) == 0
    write_lines(tmp_path / "records.jsonl", [{"id": 1, "text": "Ask Bruno.", "PIIs": ["PERSON"]}])
    with pytest.raises(SystemExit, match="1"):
        main(["run", "work.yaml", "--out", "bare", "--quiet"])
    assert "1 of 1 candidates failed: it is a type without a span" in capsys.readouterr().out


@pytest.fixture
def served(tmp_path, monkeypatch):
    """Six records to a server that fails those whose number is in `failing`; one is a window of its own."""
    monkeypatch.setenv("TEST_KEY", "sk-test")
    monkeypatch.setattr("ullage.kinds.pii.run.WINDOW_BATCHES", 1)

    def behave(body, seen):
        said = body["messages"][-1]["content"]
        if any(f"real-{n}" in said for n in made.failing):
            return 400, {"error": {"message": "content filter"}}
        return 200, completion("yes", (("yes", -0.2), ("no", -2.0)))

    made = Server(behave)
    made.failing = set()
    write_lines(tmp_path / "records.jsonl", [record(n, "real") for n in range(6)])
    remote = {"base_url": made.url, "key_env": "TEST_KEY", "retries": 0, "concurrency": 1}
    role = {"model": "served", "engine": "openai", "openai": remote, "batch": 1}
    body = {"kind": "pii", "roles": {"verifier": role}, "budget": {"gpus": "cpu"}}
    (tmp_path / "work.json").write_text(json.dumps({**body, "pii": {"input": "records.jsonl"}}))
    yield made
    made.http.shutdown()


def rows_of(folder):
    return (folder / "verified.jsonl").read_text().splitlines()


def test_a_resume_asks_what_a_server_failed_again_and_rows_stay_in_order(served, tmp_path):
    file = tmp_path / "work.json"
    whole, _ = ullage.run(ullage.load(file), tmp_path / "whole", base=tmp_path)
    served.failing = {2, 4}
    folder, record_of_it = ullage.run(ullage.load(file), tmp_path / "run", base=tmp_path)
    assert record_of_it.outcome["asks_again"]
    assert sum("failed" in row for row in rows_of(folder)) == 2
    served.requests.clear()
    ullage.resume(folder, retry=False)
    assert not served.requests
    served.failing = set()
    again = ullage.resume(folder)
    assert again.outcome["failed"] == []
    assert rows_of(folder) == rows_of(whole)
    assert (folder / "failed.jsonl").read_text() == ""
    asked = [body["messages"][-1]["content"] for body in served.requests]
    assert not any(f"real-{n}" in said for said in asked for n in (0, 1))
    assert again.examples == 6


def test_what_fails_again_is_still_told(served, tmp_path):
    served.failing = {5}
    folder, _ = ullage.run(ullage.load(tmp_path / "work.json"), tmp_path / "run", base=tmp_path)
    again = ullage.resume(folder)
    assert [each["failed"] for each in again.outcome["failed"]] == [1]
    assert len(rows_of(folder)) == 6
