"""`ullage evidence`: what a user is shown of what past runs left, and what is removed."""

import json
import os
from pathlib import Path

import jsonschema
import pytest

from ullage import document_schema
from ullage.cli.main import main
from ullage.records.evidence import RULE


@pytest.fixture
def run(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("COLUMNS", "240")
    monkeypatch.chdir(tmp_path)
    Path("texts.txt").write_text("The city has a river.\nA stone is in the garden.\n")

    def call(*arguments, code=0):
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        output = capsys.readouterr()
        assert ended.value.code == code, output.err
        return output.out or output.err

    return call


@pytest.fixture
def extract(run):
    """Extracts states into a folder; each such run leaves one observation."""

    def extract(out):
        named = ("--model", "ullage:tiny", "--input", "texts.txt", "--sites", "ln_final")
        run("extract", *named, "--gpus", "cpu", "--out", out, "--quiet")

    return extract


@pytest.fixture
def file():
    return Path(os.environ["ULLAGE_HOME"]) / "evidence.jsonl"


def document(run, *arguments):
    found = json.loads(run("evidence", "--json", *arguments))
    jsonschema.validate(found, document_schema("evidence"))
    return found


def test_before_the_first_run_there_is_none_and_nothing_to_remove(run, file):
    assert run("evidence") == f"no run has left evidence in {file}; plans use what is usual\n"
    assert run("evidence", "--clear") == f"nothing to remove: {file} holds no evidence\n"
    found = document(run)
    assert (found["observations"], found["planned"], found["cleared"]) == ([], [], False)


def test_every_run_is_a_row_and_what_plans_take_from_them_stands_below(run, extract, file):
    extract("first")
    extract("second")
    found = document(run)
    assert [one["run"] for one in found["observations"]] == ["first", "second"]
    shown = run("evidence")
    lines = [line.rstrip() for line in shown.splitlines()]
    assert f"({file})" in "".join(shown.split())
    for one in found["observations"]:
        row = next(line for line in lines if f" {one['run']} " in line)
        assert row.startswith(one["date"][:10])
        assert one["phase"] in row
        assert row.split()[-2:] == [f"{one[name] / 2**20:,.0f}" for name in ("overhead", "held")]
    (planned,) = found["planned"]
    assert planned["runs"] == 2
    low, expected, high = (f"{planned['bytes'][end] / 2**20:,.0f}" for end in ("low", "expected", "high"))
    row = next(line for line in lines if line.startswith(planned["workload"]))
    assert row.removeprefix(planned["workload"]).split()[:4] == ["2", low, expected, high]
    assert "usual until 9 runs are measured: 2 runs of this workload" in row
    threads = planned["key"]["threads"]
    assert any(line.startswith("CPU, ") and line.split()[-2] == str(threads) for line in lines)
    assert RULE in shown.replace("\n", " ").replace("  ", " ")


def test_what_is_no_evidence_is_counted_here_and_warned_of_where_a_plan_is_made(run, extract, file):
    extract("first")
    with file.open("a") as lines:
        lines.write("garbage\n")
    said = f"{file}: 1 line not counted: 1 not JSON (`ullage evidence` lists what is)"
    shown = run("evidence")
    assert shown.startswith(said)
    assert " first " in shown
    assert document(run)["not_counted"] == [{"reason": "not JSON", "lines": 1}]
    Path("work.yaml").write_text("kind: pii\nroles: {verifier: {model: gpt2}}\nbudget: {gpus: T4}\n")
    assert f"warning: {said}" in run("plan", "work.yaml", "--set", "prompt_tokens=64")


def test_it_is_removed_once_and_what_was_removed_is_told(run, extract, file):
    extract("first")
    extract("second")
    with file.open("a") as lines:
        lines.write("garbage\n{}\n")
    said = f"removed {file}: 6 observations of 2 runs, 2 lines not counted\n"  # memory, load, reading
    assert run("evidence", "--clear") == said
    assert not file.exists()
    assert run("evidence").startswith("no run has left evidence")
    assert run("evidence", "--clear").startswith("nothing to remove")
    extract("third")
    with file.open("a") as lines:
        lines.write("garbage\n")
    assert run("evidence", "--clear") == f"removed {file}: 3 observations of 1 run, 1 line not counted\n"
    extract("fourth")
    cleared = document(run, "--clear")
    assert cleared["cleared"]
    assert [one["run"] for one in cleared["observations"]] == ["fourth"]
    assert document(run)["observations"] == []


def test_what_is_no_file_of_evidence_is_named_and_is_removed_only_where_it_is_a_file(run, file):
    file.mkdir(parents=True)
    shown = run("evidence")
    assert shown.startswith(f"{file}: is a folder, not a file; no evidence of past runs is used\n")
    assert run("evidence", "--clear", code=2) == (
        f"ullage: error: {file}: cannot be removed: Is a directory\n"
    )
    file.rmdir()
    os.mkfifo(file)
    assert run("evidence", "--clear") == f"removed {file}: 0 observations of 0 runs; it is no ordinary file\n"
    assert not file.exists()
