"""What users of other evaluation libraries reported, rebuilt small; each names its library and number."""

import json

import pyarrow.parquet
import pytest
from remote_server import Server, completion

import ullage
from ullage.kinds.evaluate.labels import is_entailed
from ullage.kinds.evaluate.meaning import clusters
from ullage.workloads.judgement import Rule

GRADE = r"\bGRADE:\s*(?:(?P<right>C)|(?P<wrong>I))\b"
PASS = r'"pass":\s*(?:(?P<right>true)|(?P<wrong>false))'
TOP = (("yes", -0.2), ("no", -2.0))


def graded(text, pattern=GRADE):
    return Rule(pattern=pattern).written(text).verdict


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("GRADE: C. There is no reason to downgrade: insufficient grounds.", "yes"),
        ("GRADE: I at first sight, but on reflection\nGRADE:\u200bC", None),
        ("GRADE:\ufeff\u200b C", "yes"),
        ("GR\u200bADE: I", "no"),
    ],
)
def test_words_that_hold_a_grade_and_signs_nobody_sees_change_no_verdict(text, verdict):
    """inspect_ai 4283: `downgrade:` was taken for the verdict, a zero-width space hid it."""
    assert graded(text) == verdict


@pytest.mark.parametrize("text", ["GRADE: CI", "GRADE: Correct, or nearly", "GRADE: P"])
def test_a_malformed_grade_is_no_grade(text):
    """inspect_ai 4872: `GRADE: CI` was parsed as C."""
    assert graded(text) is None


def test_a_letter_in_a_judges_reasons_is_no_verdict():
    """OpenCompass 2598: "As a judge, I considered ... The final grade is B" was parsed as A."""
    said = "As a judge, I considered the evidence carefully. The final grade is B."
    assert Rule(("A", "B")).written(said).verdict is None


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ('```json\n{"reason": "It {fits}.", "pass": true, "score": 1}\n```', "yes"),
        ('{\n "pass": false, // see above\n "score": 0\n}', "no"),
        ('{"reason": "The summary is mostly accurate, but', None),
        ('<think>{"pass": true}</think>', None),
    ],
)
def test_json_in_a_fence_is_read_and_json_that_is_cut_is_no_verdict(text, verdict):
    """promptfoo 1866 and 3002: fenced JSON was none; deepeval 929 and 3042: cut JSON stopped the run."""
    assert graded(text, PASS) == verdict


def test_neutral_both_ways_is_not_the_same_meaning():
    """semantic_uncertainty 3: the code merged what does not contradict, the paper what both ways implies."""
    neutral = {"contradiction": -3.0, "neutral": -0.1, "entailment": -2.5}
    entailed = {"contradiction": -3.0, "neutral": -2.5, "entailment": -0.1}
    texts = ["in Drosa", "in Rask", "it is in Drosa"]
    labels = {(a, b): neutral for a in texts for b in texts if a != b}
    labels[texts[0], texts[2]] = labels[texts[2], texts[0]] = labels[texts[1], texts[0]] = entailed
    assert clusters(texts, {both: is_entailed(found) for both, found in labels.items()}) == [0, 1, 0]


@pytest.fixture
def evaluated(tmp_path, monkeypatch):
    """`evaluated(behave, **section)`: rows by id and the record of four questions to a server."""
    monkeypatch.setenv("TEST_KEY", "sk-test")
    monkeypatch.setattr("ullage.engines.pace.FIRST_PAUSE", 0.0)
    servers = []

    def run(behave, retries=0, **section):
        def answered(body, seen):
            asked = body["messages"][-1]["content"]
            number = next(n for n in range(4) if f"question {n}" in asked)
            return behave(number, "Answer: " in asked) or (200, completion("Drosa", TOP))

        servers.append(Server(answered))
        rows = [{"id": str(n), "question": f"question {n}", "references": ["Drosa"]} for n in range(4)]
        (tmp_path / "q.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        remote = {"base_url": servers[0].url, "key_env": "TEST_KEY", "retries": retries, "concurrency": 1}
        role = {"model": "served", "engine": "openai", "openai": remote}
        body = {
            "kind": "evaluate",
            "roles": {"generator": role, "judge": role},
            "budget": {"gpus": "cpu"},
            "new_tokens": 8,
            "evaluate": {"input": "q.jsonl", "judge_check": 0, **section},
        }
        out, record = ullage.run(ullage.load(body), tmp_path / "run", base=tmp_path)
        found = pyarrow.parquet.read_table(out / "results.parquet").to_pylist()
        return {row["id"]: row for row in found}, record, json.loads((out / "scores.json").read_text())

    yield run
    for server in servers:
        server.http.shutdown()


def finished(text, finish, **message):
    made = completion(text or "")
    made["choices"][0] |= {
        "finish_reason": finish,
        "message": {"role": "assistant", "content": text, **message},
    }
    return 200, made


def test_an_empty_reply_and_a_refusal_are_told_from_a_wrong_answer(evaluated):
    """inspect_ai 5376: an empty completion, a refusal and a wrong answer had the same score."""
    replies = {
        0: finished("", "stop"),
        1: finished(None, "stop", refusal="I cannot help"),
        2: finished("Rask", "stop"),
    }
    rows, _, scores = evaluated(lambda number, judged: None if judged else replies.get(number))
    assert "no text" in rows["0"]["failed"]
    assert "I cannot help" in rows["1"]["failed"]
    assert (rows["2"]["failed"], rows["2"]["exact_match"]) == (None, 0.0)
    assert scores["labels"]["exact_match"] == {"right": 1, "wrong": 1, "unscored": 2, "accuracy": 0.5}


def test_thoughts_that_took_all_tokens_are_a_reason_and_not_an_answer(evaluated):
    """lm-evaluation-harness 3244: content null after reasoning_content ended the run with a traceback."""
    spent = finished(None, "length", reasoning_content="Lots of words.")
    rows, record, _ = evaluated(lambda number, judged: None if judged or number else spent)
    assert "raise new_tokens" in rows["0"]["failed"]
    assert rows["1"]["answer"] == "Drosa"
    assert record.outcome["failed"][0]["failed"] == 1


def test_a_judge_that_gives_no_verdict_is_in_no_mean(evaluated):
    """ragas 736: the verdict -1 became NaN and the mean with it; deepeval 805: one such ended the run."""
    said = {0: "yes", 1: "no", 2: "-1", 3: "NULL"}
    rows, _, scores = evaluated(
        lambda number, judged: (200, completion(said[number])) if judged else None, judge_by="text"
    )
    assert [rows[str(n)]["judge_verdict"] for n in range(4)] == ["yes", "no", None, None]
    assert scores["labels"]["judge"] == {"right": 1, "wrong": 1, "unscored": 2, "accuracy": 0.5}


def test_a_rate_limit_inside_a_good_status_is_asked_again(evaluated):
    """litellm 9035: {"error": {"code": 429}} was taken for an empty reply; promptfoo 1612: nobody waited."""
    seen = []

    def behave(number, judged):
        seen.append(number)
        if number == 1 and seen.count(1) < 3:
            return 200, {"error": {"message": "Rate limit exceeded", "code": 429}}
        return None

    rows, record, _ = evaluated(behave, retries=3)
    assert rows["1"]["answer"] == "Drosa"
    assert record.outcome["failed"] == []
