"""Judges are judged first: on known answers, whose verdicts stand beside their own everywhere."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

import ullage
from ullage.cli.main import app
from ullage.kinds.evaluate.accuracy import normalised
from ullage.kinds.evaluate.checking import known_answers
from ullage.kinds.evaluate.questions import Question

TOWNS = [f"Town{n:02}" for n in range(50)]
WORK = """
kind: evaluate
roles:
  generator: {model: answers.jsonl, engine: scripted}
  judge: {model: judge.jsonl, engine: scripted}
budget: {gpus: cpu}
examples: 50
prompt_tokens: 200
evaluate: {input: questions.jsonl}
"""
YES = {"yes": -0.2, "no": -2.0}
NO = {"yes": -3.0, "no": -0.1}
SILENT = {"yes": -5.0, "no": -6.0}


def write_lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


@pytest.fixture
def work(tmp_path):
    """Fifty questions, each with a town of its own; the judge knows which belong together."""
    rows = [
        {"id": f"q{n}", "question": f"Where is {n}?", "references": [town]} for n, town in enumerate(TOWNS)
    ]
    write_lines(tmp_path / "questions.jsonl", rows)
    write_lines(tmp_path / "answers.jsonl", [{"text": TOWNS[0], "logprobs": [-0.5]}])
    judged = [
        {"contains": f"Reference: {town}\nAnswer: {town}", "scores": YES, "text": "yes"} for town in TOWNS
    ]
    write_lines(tmp_path / "judge.jsonl", [*judged, {"scores": NO, "text": "no"}])
    (tmp_path / "work.yaml").write_text(WORK)
    return tmp_path


def run(folder, *overrides, name="run"):
    _, record = ullage.run(ullage.load(folder / "work.yaml", overrides), folder / name, base=folder)
    return record, json.loads((folder / name / "scores.json").read_text())["judge_checks"]["judge"]


references = st.lists(st.text("ab the.", max_size=6), max_size=3).map(tuple)


@settings(deadline=None)
@given(st.lists(references, max_size=12), st.integers(0, 6), st.integers(0, 3))
def test_a_wrong_answer_is_never_a_right_one(all_references, most, seed):
    questions = [Question(str(n), f"Q{n}", own) for n, own in enumerate(all_references)]
    found = known_answers(questions, most, seed)
    assert len(found) <= 2 * most
    assert [one.right for one in found] == [True, False] * (len(found) // 2)
    for one in found:
        own = {normalised(each) for each in one.question.references}
        assert one.answer in {each for own in all_references for each in own}
        assert (normalised(one.answer) in own) == one.right
    assert known_answers(iter(questions), most, seed) == found


def test_forty_questions_of_many_are_drawn_alike_and_all_of_few_are_taken():
    questions = [Question(str(n), "?", (town,)) for n, town in enumerate(TOWNS)]
    drawn = [one.question.id for one in known_answers(questions, 40, 0)[::2]]
    assert len(set(drawn)) == 40
    assert any(int(name) >= 40 for name in drawn)
    assert len(known_answers(questions[:7], 40, 0)) == 14


def test_a_good_judge_is_called_reliable(work):
    record, found = run(work)
    assert (found["questions"], found["answers"], found["unscored"]) == (40, 80, 0)
    assert (found["accuracy"], found["auroc"], found["reliable"]) == (1.0, 1.0, True)
    assert found["low"] > 0.95
    assert found["mass"] == pytest.approx((0.95407 + 0.95462) / 2, abs=1e-3)
    assert record.outcome["judge_checks"] == {"judge": found}
    page = (work / "run" / "report.html").read_text()
    assert "judge is reliable" in page
    rows = [json.loads(line) for line in (work / "run" / "check_judge.jsonl").read_text().splitlines()]
    assert len(rows) == 80
    assert {row["key"][2] for row in rows} == {"right", "wrong"}


@pytest.mark.parametrize(
    "scores, accuracy, unscored, said",
    [
        (YES, 0.5, 0, "judge is unreliable: 50.0% of 80 known answers judged right"),
        (SILENT, None, 80, "judge is unreliable: it gave none of 80 known answers a verdict"),
    ],
)
def test_a_judge_that_always_says_the_same_is_called_unreliable_everywhere(
    work, scores, accuracy, unscored, said
):
    write_lines(work / "judge.jsonl", [{"scores": scores}])
    done = CliRunner().invoke(app, ["run", str(work / "work.yaml"), "--out", str(work / "run"), "--quiet"])
    assert done.exit_code == 0, done.output
    assert said in " ".join(done.output.split())
    found = json.loads((work / "run" / "scores.json").read_text())["judge_checks"]["judge"]
    assert (found["accuracy"], found["unscored"], found["reliable"]) == (accuracy, unscored, False)
    assert said in (work / "run" / "report.html").read_text()


def test_a_judge_that_writes_is_checked_too(work):
    _, found = run(work, "evaluate.judge_by=text")
    assert (found["accuracy"], found["reliable"]) == (1.0, True)
    assert (found["auroc"], found["mass"]) == (None, None)


def test_no_check_few_questions_and_no_references_are_said(work):
    record, found = run(work, "evaluate.judge_check=0", name="off")
    assert (found["reliable"], found["reason"]) == (None, "judge_check is 0")
    assert not (work / "off" / "check_judge.jsonl").exists()
    assert "judge: not checked: judge_check is 0" in record.outcome["remarks"]
    _, found = run(work, "evaluate.limit=9", name="few")
    assert (found["questions"], found["reliable"]) == (9, True)
    assert found["reason"] == "of 40 questions asked for 9 can be used"
    rows = [{"id": n, "question": f"Q{n}?", "references": ["Rask"]} for n in range(3)]
    write_lines(work / "questions.jsonl", rows)
    _, found = run(work, name="alike")
    assert (found["reliable"], found["answers"]) == (None, 0)
    assert "no question has a reference, and another's" in found["reason"]


def test_the_check_is_planned_and_counts(work):
    (work / "work.yaml").write_text(
        WORK.replace("model: judge.jsonl, engine: scripted", "model: 'ullage:tiny'")
    )
    with_check = ullage.plan(ullage.load(work / "work.yaml"))
    without = ullage.plan(ullage.load(work / "work.yaml", ["evaluate.judge_check=0"]))
    names = {phase.name for phase in with_check.phases}
    assert names - {phase.name for phase in without.phases} == {"judge check"}
    (check,) = [phase for phase in with_check.phases if phase.verb == "check"]
    assert check.work.passes * check.work.batch * 50 == pytest.approx(80)


def test_a_check_cut_short_is_taken_up_where_it_was(work):
    run(work, name="whole")
    cut = work / "cut"
    run(work, name="cut")
    lines = (cut / "journal.jsonl").read_bytes().splitlines(keepends=True)
    kept = next(n for n, line in enumerate(lines) if b'"check_judge"' in line)
    (cut / "journal.jsonl").write_bytes(b"".join(lines[: kept + 1]))
    (cut / "record.json").unlink()
    for name in ("judge.jsonl", "results.parquet", "scores.json", "report.html"):
        (cut / name).unlink()
    ullage.resume(cut)
    for name in ("check_judge.jsonl", "judge.jsonl", "scores.json"):
        assert (cut / name).read_bytes() == (work / "whole" / name).read_bytes(), name


def test_judging_again_keeps_the_check_of_a_judge_that_stays(work):
    run(work)
    write_lines(work / "other.jsonl", [{"scores": YES}])
    changes = ["roles.judge_b.model=other.jsonl", "roles.judge_b.engine=scripted"]
    ullage.judge(work / "run", work / "again", changes)
    found = json.loads((work / "again" / "scores.json").read_text())["judge_checks"]
    assert (found["judge"]["reliable"], found["judge_b"]["reliable"]) == (True, False)
    kept = (work / "again" / "check_judge.jsonl").read_bytes()
    assert kept == (work / "run" / "check_judge.jsonl").read_bytes()
