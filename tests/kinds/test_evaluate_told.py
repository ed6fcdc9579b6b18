"""What an evaluation says when it ends, and what of its records it says it left aside."""

import json
import re

import pytest
from rich.console import Console
from typer.testing import CliRunner

import ullage
from ullage.cli.main import app
from ullage.errors import InputError
from ullage.kinds.evaluate.dataset import Questions
from ullage.kinds.evaluate.paired_page import paired_page
from ullage.kinds.evaluate.section import Section
from ullage.phases.blocks import own_section
from ullage.reports.pages.screen import show

WORK = """
kind: evaluate
roles: {generator: {model: script.jsonl, engine: scripted}, judge: {model: judge.jsonl, engine: scripted}}
budget: {gpus: cpu}
evaluate: {input: questions.csv, judge_check: 0, metrics: [exact_match]FIELDS}
"""
REASON = "all of the 9 answers are wrong: nothing to tell apart"


@pytest.fixture
def work(tmp_path):
    """Four questions with a context each; the judge says yes to all, and two are right."""
    lines = [f"Where is {n}?,{'Drosa' if n < 2 else 'Rask'},It is far." for n in range(4)]
    (tmp_path / "questions.csv").write_text("\n".join(["question,references,context", *lines]) + "\n")
    (tmp_path / "script.jsonl").write_text(json.dumps({"text": "Drosa"}) + "\n")
    (tmp_path / "judge.jsonl").write_text(json.dumps({"scores": {"yes": -0.1, "no": -3.0}}) + "\n")
    return tmp_path


def load(work, fields=""):
    (work / "work.yaml").write_text(WORK.replace("FIELDS", fields))
    return ullage.load(work / "work.yaml")


def test_the_terminal_ends_with_how_many_are_right_and_where_the_page_is(work):
    load(work)
    done = CliRunner().invoke(app, ["run", str(work / "work.yaml"), "--out", str(work / "run"), "--quiet"])
    assert done.exit_code == 0, done.output
    said = " ".join(done.output.split())
    assert "right by judge: 100.0% of 4 answers (51.0% to 100.0%)" in said
    assert "right by exact_match: 50.0% of 4 answers (15.0% to 85.0%)" in said
    assert "report.html" in "".join(done.output.split())
    scores = json.loads((work / "run" / "scores.json").read_text())
    assert {name: each["accuracy"] for name, each in scores["labels"].items()} == {
        "judge": 1.0,
        "exact_match": 0.5,
    }


@pytest.mark.parametrize(
    "fields, told",
    [("", True), (", fields: {context: context}", False), (", fields: {context: null}", False)],
)
def test_a_context_that_nobody_asked_for_is_said(work, fields, told):
    record = ullage.run(load(work, fields), work / "run", base=work)[1]
    assert any("records have a field 'context'" in line for line in record.outcome["remarks"]) is told


def test_a_template_with_a_context_needs_one(work):
    with pytest.raises(InputError, match=r"template: holds {context}; say in evaluate\.fields\.context"):
        load(work, ', template: "{context} {question}"')
    load(work, ', template: "{context} {question}", fields: {context: context}')


@pytest.mark.parametrize(
    "setting, said",
    [
        (
            'judge_template: "{answer} {refernces}"',
            "holds {refernces}, which is not filled; nearest: {references}",
        ),
        ('judge_system: "Say {verdict}."', "nearest: {verdicts}"),
        ('template: "{question} {contxt}"', "nearest: {context}"),
    ],
)
def test_a_misspelt_place_of_a_template_is_refused(work, setting, said):
    with pytest.raises(InputError, match=re.escape(said)):
        load(work, f", {setting}")


def test_other_braces_of_a_template_are_left_alone(work):
    load(work, """, judge_template: 'Reply {"grade": 1} or {x}: {question} {answer}'""")


def test_questions_of_a_csv_are_counted(work):
    section = own_section(load(work, ", limit: 3, shots: 1"), Section)
    assert Questions(section, work).about(1000) == 3
    section = own_section(load(work), Section)
    assert Questions(section, work).about(1000) == 4


def test_a_column_that_is_there_twice_is_refused(work):
    (work / "questions.csv").write_text("question,references,question\na,b,c\n")
    with pytest.raises(InputError, match="column 'question' is there twice"):
        ullage.run(load(work), work / "run", base=work)


def test_what_cannot_be_compared_is_said_once_for_a_label():
    label = {"questions": 9, "first": 0.0, "second": 1.0, "only_first_right": 0, "only_second_right": 9}
    none = {"label": "f1", "questions": 9, "difference": None, "low": None, "high": None, "reason": REASON}
    found = {
        "questions": 9,
        "unpaired": 0,
        "labels": [{**label, "label": "f1", "p_value": 2e-9}],
        "measures": [{**none, "measure": f"measure {n}"} for n in range(12)],
    }
    console = Console(record=True, width=200)
    show(paired_page(found), console)
    text = console.export_text()
    assert text.count(REASON) == 1
    assert "no AUROC of 12 measures by f1" in text
    assert "AUROC, second less first" not in text
    assert "< 0.001" in text
