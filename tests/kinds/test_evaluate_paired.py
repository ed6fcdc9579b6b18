"""Two evaluations of the same questions, question by question."""

import json

import jsonschema
import numpy as np
import pytest
from typer.testing import CliRunner

import ullage
from ullage.cli.main import app
from ullage.errors import InputError
from ullage.measures.telling_apart import measured_auroc, paired_difference

WORK = """
kind: evaluate
roles: {generator: {model: NAME.jsonl, engine: scripted}}
budget: {gpus: cpu}
evaluate: {input: questions.jsonl, metrics: [exact_match]}
"""


def write_lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Forty questions: `weak` has ten right and knows nothing of it, `strong` thirty and is surer."""
    folder = tmp_path_factory.mktemp("paired")
    rows = [{"id": f"q{n}", "question": f"Where is {n}?", "references": [f"Place{n}"]} for n in range(40)]
    write_lines(folder / "questions.jsonl", rows)
    for name, right, surer in (("weak", 10, 0.0), ("strong", 30, 2.0)):
        answers = [
            {
                "contains": f"is {n}?",
                "text": f"Place{n}" if n < right else "Nowhere",
                "logprobs": [-1.0 - (n * 7 % 10) / 10 - surer * (n >= right)],
            }
            for n in range(40)
        ]
        write_lines(folder / f"{name}.jsonl", answers)
        (folder / "work.yaml").write_text(WORK.replace("NAME", name))
        ullage.run(ullage.load(folder / "work.yaml"), folder / f"run-{name}", base=folder)
    return folder / "run-weak", folder / "run-strong"


def test_accuracies_and_measures_are_paired(runs):
    found = ullage.compare(*runs)
    assert (found["questions"], found["unpaired"]) == (40, 0)
    (label,) = found["labels"]
    assert (label["first"], label["second"]) == (0.25, 0.75)
    assert (label["only_first_right"], label["only_second_right"]) == (0, 20)
    assert label["p_value"] == pytest.approx(2 * 0.5**20)
    (gain,) = [each for each in found["measures"] if each["measure"] == "G-NLL"]
    assert gain["low"] <= gain["difference"] <= gain["high"]
    assert gain["low"] > 0
    back = ullage.compare(*runs[::-1])
    (lost,) = [each for each in back["measures"] if each["measure"] == "G-NLL"]
    assert lost["difference"] == pytest.approx(-gain["difference"])
    same = ullage.compare(runs[0], runs[0])
    assert same["labels"][0]["p_value"] == 1
    assert {each["difference"] for each in same["measures"] if not each["reason"]} == {0.0}


def test_the_command_prints_a_table_and_a_document(runs):
    shown = CliRunner().invoke(app, ["compare", *map(str, runs)])
    assert shown.exit_code == 0, shown.output
    assert "40 questions are in both runs" in shown.output
    told = json.loads(CliRunner().invoke(app, ["compare", *map(str, runs), "--json"]).stdout)
    jsonschema.validate(told, ullage.document_schema("compared"))


def test_runs_without_a_common_question_are_refused(runs, tmp_path):
    rows = [{"id": "x", "question": "Where is 1?", "references": ["Place1"]}]
    write_lines(tmp_path / "questions.jsonl", rows)
    write_lines(tmp_path / "weak.jsonl", [{"text": "Place1"}])
    (tmp_path / "work.yaml").write_text(WORK.replace("NAME", "weak"))
    ullage.run(ullage.load(tmp_path / "work.yaml"), tmp_path / "run", base=tmp_path)
    with pytest.raises(InputError, match="no question in common"):
        ullage.compare(runs[0], tmp_path / "run")


def test_a_paired_difference_is_that_of_both_aurocs_and_narrower_than_either():
    chance = np.random.default_rng(0)
    wrong = chance.random(300) < 0.4
    one = wrong + chance.normal(size=300)
    other = one + 0.1 * chance.normal(size=300)
    found = paired_difference((wrong, one), (wrong, other))
    alone = [measured_auroc(wrong, each) for each in (one, other)]
    assert found.value == pytest.approx(alone[0].value - alone[1].value)
    assert found.high - found.low < 0.5 * (alone[0].high - alone[0].low)
