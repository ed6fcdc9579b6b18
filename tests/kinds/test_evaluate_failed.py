"""What a server fails: counted, said, and asked again when a run is taken up."""

import json

import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st
from remote_server import Server, completion

import ullage
from ullage.cli.main import main
from ullage.errors import InputError, RefusedError
from ullage.kinds.evaluate.stages import answer_seed

COUNT = 10


def write_lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


@pytest.fixture
def served(tmp_path, monkeypatch):
    """Ten questions to a server that fails those whose number is in `failing`, in both roles."""
    monkeypatch.setenv("TEST_KEY", "sk-test")
    questions = [
        {"id": f"q{n}", "question": f"Where is person {n} ?", "references": ["Drosa"]} for n in range(COUNT)
    ]
    write_lines(tmp_path / "questions.jsonl", questions)

    def behave(body, seen):
        asked = body["messages"][-1]["content"]
        if any(f"person {n} " in asked for n in made.failing):
            return 400, {"error": {"message": "content filter"}}
        if "top_logprobs" in body:
            return 200, completion("yes", (("yes", -0.2), ("no", -2.0), ("True", -0.2), ("False", -2.0)))
        return 200, completion(f"Drosa{body['seed']}")

    made = Server(behave)
    made.failing = set()
    remote = {"base_url": made.url, "key_env": "TEST_KEY", "retries": 0, "concurrency": 1}
    role = {"model": "served", "engine": "openai", "openai": remote}
    body = {
        "kind": "evaluate",
        "roles": {"generator": role, "judge": role},
        "budget": {"gpus": "cpu"},
        "new_tokens": 8,
        "evaluate": {"input": "questions.jsonl", "samples": 2, "p_true": True},
    }
    (tmp_path / "work.json").write_text(json.dumps(body))
    made.folder, made.file = tmp_path / "run", tmp_path / "work.json"
    yield made
    made.http.shutdown()


def command(*arguments):
    with pytest.raises(SystemExit) as ended:
        main([str(each) for each in arguments])
    return ended.value.code


def table(folder):
    return pyarrow.parquet.read_table(folder / "results.parquet").to_pylist()


def test_a_few_that_failed_are_told_last_and_the_run_is_good(served, capsys):
    served.failing = {3}
    assert command("run", served.file, "--out", served.folder, "--quiet") == 0
    lines = capsys.readouterr().out.splitlines()
    assert "1 of 10 answers failed: HTTP 400: content filter" in lines[-2]
    assert "2 of 20 samples failed: HTTP 400: content filter (2 times)" in lines[-1]
    (row,) = [row for row in table(served.folder) if row["failed"]]
    assert (row["id"], row["answer"], row["judge_verdict"]) == ("q3", "", None)


def test_too_many_that_failed_are_exit_code_1(served):
    served.failing = {3, 4}
    assert command("run", served.file, "--out", served.folder, "--quiet") == 1
    allowed = ("run", served.file, "--out", served.folder.parent / "more", "--set", "evaluate.max_failed=0.2")
    assert command(*allowed, "--quiet") == 0


def test_a_server_that_refuses_all_is_exit_code_1_with_its_words(served, capsys):
    served.behave = lambda body, seen: (401, {"error": {"message": "no such key"}})
    assert command("run", served.file, "--out", served.folder, "--quiet") == 1
    assert "served: the server refuses: HTTP 401: no such key" in capsys.readouterr().err
    served.behave = lambda body, seen: (400, {"error": {"message": "no such option"}})
    assert command("run", served.file, "--out", served.folder, "--quiet") == 1
    assert "10 of 10 answers failed: HTTP 400: no such option (10 times)" in capsys.readouterr().out


def test_a_finished_run_asks_what_failed_again_and_nothing_else(served):
    ullage.run(ullage.load(served.file), served.folder.parent / "whole", base=served.file.parent)
    served.failing = {0, 3, 9}
    ullage.run(ullage.load(served.file), served.folder, base=served.file.parent)
    assert sum(row["judge_verdict"] is None for row in table(served.folder)) == 3
    served.failing, served.requests[:] = set(), []
    ullage.resume(served.folder, retry=False)
    assert not served.requests
    record = ullage.resume(served.folder)
    # An answer, two samples, a judgement and a P(True) of each of three questions.
    assert len(served.requests) == 3 * (1 + 2 + 1 + 1)
    assert record.outcome["failed"] == []
    assert table(served.folder) == table(served.folder.parent / "whole")
    served.requests.clear()
    assert ullage.resume(served.folder).seconds == record.seconds
    assert not served.requests
    ullage.report(served.folder)


def test_what_fails_again_is_still_told(served):
    served.failing = {0, 3, 9}
    ullage.run(ullage.load(served.file), served.folder, base=served.file.parent)
    served.failing = {9}
    record = ullage.resume(served.folder)
    (answers, samples) = record.outcome["failed"]
    assert (answers["failed"], answers["asked"]) == (1, 10)
    assert (samples["failed"], samples["asked"]) == (2, 20)
    served.failing = set()
    assert not ullage.resume(served.folder).outcome["failed"]
    assert len(table(served.folder)) == COUNT


@pytest.mark.parametrize("option", [("--set", "seed=1"), ("--gpus", "cpu"), ("--out", "elsewhere")])
def test_a_resume_says_what_it_will_not_do(served, option, capsys):
    ullage.run(ullage.load(served.file), served.folder, base=served.file.parent)
    assert command("run", "--resume", served.folder, *option) == 2
    assert f"{option[0]}: a resume does what the run" in capsys.readouterr().err


def test_a_role_that_is_no_judge_is_refused_by_judge(served, capsys):
    ullage.run(ullage.load(served.file), served.folder, base=served.file.parent)
    assert command("judge", served.folder, "--role", "generator.model=other") == 2
    assert "generator is no judge; judges are called judge, or judge_ and a name" in capsys.readouterr().err


def test_judging_again_counts_its_own_tokens_alone(served):
    ullage.run(ullage.load(served.file), served.folder, base=served.file.parent)
    out = served.folder.parent / "again"
    _, nothing = ullage.judge(served.folder, out, ["evaluate.right_from=0.6"])
    assert (nothing.tokens, nothing.examples) == (0, COUNT)
    changes = ["roles.judge_b.model=other", "roles.judge_b.engine=openai"]
    changes += [f"roles.judge_b.openai.base_url={served.url}", "roles.judge_b.openai.key_env=TEST_KEY"]
    _, judged = ullage.judge(served.folder, served.folder.parent / "more", changes)
    assert 0 < judged.tokens < COUNT * 200


def test_questions_that_cannot_be_read_are_left_out_by_name(served):
    path = served.file.parent / "questions.jsonl"
    good = path.read_text().splitlines()
    odd = [
        '{"id":"a","question":"Q \\ud83d?","references":["x"]}',
        '{"id":1,"question":"Q?","references":NaN}',
    ]
    path.write_text("\n".join([*good[:4], *odd, *good[4:]]) + "\n")
    _, record = ullage.run(ullage.load(served.file), served.folder, base=served.file.parent)
    (failing,) = record.outcome["failed"]
    assert (failing["what"], failing["failed"], failing["asked"]) == ("questions", 2, 12)
    assert [*failing["reasons"]] == [
        "questions.jsonl:5: holds half of a surrogate pair, which no text has",
        "questions.jsonl:6: references: is NaN or infinite, which is no reference",
    ]
    assert [row["id"] for row in table(served.folder)] == [f"q{n}" for n in range(COUNT)]
    path.write_text("\n".join(odd) + "\n")
    with pytest.raises(InputError, match=r"questions\.jsonl:1: holds half of a surrogate pair"):
        ullage.run(ullage.load(served.file), served.folder.parent / "none", base=served.file.parent)


@pytest.mark.parametrize("there, said", [("reference", "'reference'"), ("answers", "'answers'")])
def test_references_missing_everywhere_are_an_error_with_the_nearest_field(served, there, said):
    rows = [{"id": n, "question": "Q?", there: ["x"]} for n in range(5)]
    write_lines(served.file.parent / "questions.jsonl", rows)
    with pytest.raises(InputError, match=f"no record has the field 'references' .nearest: {said}"):
        ullage.run(ullage.load(served.file), served.folder, base=served.file.parent)
    none = ullage.load(served.file, ["evaluate.fields.references=null"])
    ullage.run(none, served.folder, base=served.file.parent)
    assert all(row["references"] == [] for row in table(served.folder))


def test_cells_of_a_table_stay_text(served):
    cells = ("007,What?,1.0", "008,What now?,true", "009,Which zip?,01234", "010,When?,2020-01-05")
    text = "\n".join(("id,question,references", *cells)) + "\n"
    (served.file.parent / "cells.csv").write_text(text)
    changed = ullage.load(served.file, ["evaluate.input=cells.csv"])
    ullage.run(changed, served.folder, base=served.file.parent)
    found = [(row["id"], row["references"]) for row in table(served.folder)]
    assert found == [("007", ["1.0"]), ("008", ["true"]), ("009", ["01234"]), ("010", ["2020-01-05"])]


def test_refused_is_an_engine_error_of_its_own(served):
    served.behave = lambda body, seen: (404, {"error": {"message": "no such model"}})
    with pytest.raises(RefusedError, match="no such model"):
        ullage.run(ullage.load(served.file), served.folder, base=served.file.parent)
    assert not served.folder.exists()


def test_samples_are_added_to_a_finished_run_and_none_is_asked_again(served):
    whole = served.folder.parent / "whole"
    ullage.run(ullage.load(served.file, ["evaluate.samples=5"]), whole, base=served.file.parent)
    served.failing = {3}
    ullage.run(ullage.load(served.file), served.folder, base=served.file.parent)
    served.failing, served.requests[:] = set(), []
    more = served.folder.parent / "more"
    assert command("resample", served.folder, "--samples", 5, "--out", more, "--quiet") == 0
    # Three more of each, two that had failed, and P(True), but for q3, whose answer stays failed.
    assert len(served.requests) == 3 * COUNT + 2 + (COUNT - 1)
    rows, wanted = table(more), table(whole)
    assert [row["samples"] for row in rows] == [row["samples"] for row in wanted]
    ullage.resume(more)
    assert table(more) == wanted


@pytest.mark.parametrize("count, said", [(2, "the run has 2 already"), (1, "the run has 2 already")])
def test_no_fewer_samples_are_asked_for(served, count, said):
    ullage.run(ullage.load(served.file), served.folder, base=served.file.parent)
    with pytest.raises(InputError, match=said):
        ullage.resample(served.folder, count)


@given(st.integers(0, 2**31), st.integers(0, 10**6), st.integers(0, 1000))
def test_a_seed_is_its_questions_and_samples_alone(seed, index, sample):
    """No two answers of a run share one, and none of two runs whose seeds are near."""
    one = answer_seed(seed, index, sample)
    assert 0 <= one < 2**63
    assert answer_seed(seed, index, sample + 1) != one != answer_seed(seed, index + 1, sample)
    assert abs(answer_seed(seed + 1, index, sample) - one) > 2**31


def test_thoughts_are_no_part_of_an_answer(tmp_path, monkeypatch):
    monkeypatch.setenv("TEST_KEY", "sk-test")
    rows = [{"id": f"q{n}", "question": f"Where is person {n} ?", "references": ["Drosa"]} for n in range(4)]
    write_lines(tmp_path / "questions.jsonl", rows)
    judged = []

    def behave(body, seen):
        asked = body["messages"][-1]["content"]
        if "top_logprobs" in body and "person" in asked and "Reference" in asked:
            judged.append(asked)
        if "top_logprobs" in body:
            return 200, completion("yes", (("yes", -0.2), ("no", -2.0)))
        over = "" if "person 3" in asked else "</think>\n\nDrosa"
        return 200, completion(f"<think>Rome? No, they said{over}")

    server = Server(behave)
    role = {"model": "served", "engine": "openai", "openai": {"base_url": server.url, "key_env": "TEST_KEY"}}
    body = {
        "kind": "evaluate",
        "roles": {"generator": role, "judge": role},
        "budget": {"gpus": "cpu"},
        "evaluate": {"input": "questions.jsonl", "max_failed": 0.5, "judge_check": 0},
    }
    (tmp_path / "work.json").write_text(json.dumps(body))
    assert command("run", tmp_path / "work.json", "--out", tmp_path / "run", "--quiet") == 0
    server.http.shutdown()
    table = pyarrow.parquet.read_table(tmp_path / "run" / "results.parquet").to_pylist()
    assert [row["exact_match"] for row in table] == [1.0, 1.0, 1.0, None]
    assert "still thinking" in table[3]["failed"]
    assert table[3]["answer"].startswith("<think>")
    assert table[3]["judge_verdict"] is None
    assert len(judged) == 3
    assert not any("Rome" in each for each in judged)
