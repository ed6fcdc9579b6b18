"""Candidates without a verdict: told last, allowed up to a share, and never silently left out."""

import json

import pytest

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
