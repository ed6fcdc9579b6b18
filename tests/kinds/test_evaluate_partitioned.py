"""Evaluations in partitions: what comes of them is what one run would have said, whatever the cut."""

import json
import os
import signal
from collections import Counter
from functools import partial

import pytest
import small_models
from hypothesis import given, settings
from hypothesis import strategies as st
from remote_server import Server, completion

import ullage
from ullage.cli.main import main
from ullage.errors import InputError, UllageError, UnsupportedError
from ullage.kinds.evaluate import run as evaluating
from ullage.kinds.evaluate.inquiries import Inquiries
from ullage.records.failing import AGAIN, OUTCOME
from ullage.records.folder import RunFolder
from ullage.records.journal import read_journal
from ullage.records.lines import END
from ullage.records.parts import Parts
from ullage.runtime.opening import Options, open_session
from ullage.workloads import merging, partitioned
from ullage.workloads.execution import Begun, execute
from ullage.workloads.loading import plan_of
from ullage.workloads.partitioned import do_partition, try_partition

SCRIPTED = {
    "kind": "evaluate",
    "roles": {
        "generator": {"model": "answers.jsonl", "engine": "scripted", "batch": 3},
        "judge": {"model": "judge.jsonl", "engine": "scripted", "batch": 2},
    },
    "budget": {"gpus": "cpu"},
    "evaluate": {"input": "questions.jsonl", "samples": 2, "p_true": True, "judge_check": 3},
}
ANSWERS = [
    {
        "contains": f"person {n} ",
        "text": ("Rask", "Ostra", "Atlantis in the sea")[n % 3],
        "logprobs": [-0.1 - 0.07 * n, -0.2],
        "entropies": [0.3, 0.1 * n],
        "scores": {"True": -0.3 - n, "False": -1.4},
    }
    for n in range(10)
]
JUDGED = [
    {"contains": "person 4 ", "scores": {"yes": -9.0, "no": -9.0}},
    {"contains": "Answer: Rask", "scores": {"yes": -0.1, "no": -3.0}},
    {"contains": "", "scores": {"yes": -3.0, "no": -0.2}},
]
STAGES = ("greedy", "samples", "p_true", "check_judge", "judge")


def write_lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def question(n):
    return {
        "id": f"q{n}",
        "question": f"Where does person {n % 10} live, {n}?",
        "references": [("Rask", "Ostra")[n % 2]],
    }


@pytest.fixture(scope="module", autouse=True)
def no_power_cut():
    """Nothing here is about what a disk still holds after one, and syncing takes most of the time."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(os, "fsync", lambda file: None)
        yield


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """23 questions: among them blank lines, one without an id, and two that cannot be read."""
    folder = tmp_path_factory.mktemp("work")
    write_lines(folder / "answers.jsonl", ANSWERS)
    write_lines(folder / "judge.jsonl", JUDGED)
    lines = [json.dumps(question(n)) for n in range(22)]
    lines[2:2] = ["", json.dumps({"question": "Is person 3 \ud800 half?", "references": ["no"]})]
    lines[9:9] = ["  ", "\u00a0", json.dumps({"question": "Where is person 7 now?", "references": ["Ostra"]})]
    lines[14:14] = [json.dumps({"question": "What is person 1 ?", "references": [float("nan")]})]
    (folder / "questions.jsonl").write_text("\n".join(lines) + "\n\n", encoding="utf-8")
    return folder


def run(folder, name="run", given=SCRIPTED, *overrides, base=None):
    _, record = ullage.run(ullage.load(given, overrides), folder / name, base=base or folder)
    return folder / name, record


def cut(records, size="16MiB", given=SCRIPTED):
    return {**given, "partition": {"records": records, "bytes": size}}


def stage_rows(folder, stages=STAGES):
    """Of each stage its rows, without their order."""
    return {name: Counter((folder / f"{name}.jsonl").read_text().splitlines()) for name in stages}


def results(folder):
    return [(folder / name).read_bytes() for name in ("results.parquet", "scores.json")]


def said(record):
    return (
        record.examples,
        record.tokens,
        {name: record.outcome[name] for name in ("judge_checks", "remarks", "usage", OUTCOME)},
    )


@pytest.fixture(scope="module")
def whole(work):
    folder, record = run(work, "whole")
    return folder, record


def test_one_partition_is_the_run_without_to_the_byte(work, whole):
    apart, record = run(work, "one", {**SCRIPTED, "partition": {}})
    for name in STAGES:
        assert (apart / f"{name}.jsonl").read_bytes() == (whole[0] / f"{name}.jsonl").read_bytes(), name
    assert results(apart) == results(whole[0])
    assert said(record) == said(whole[1])
    ours, theirs = (read_journal(folder / "journal.jsonl") for folder in (apart, whole[0]))
    assert [e for e in ours if e["unit"] != END] == [e for e in theirs if e["unit"] != END]
    assert [e for e in ours if e["unit"] == END] == [e for e in theirs if e["unit"] == END]
    assert ullage.check_run(apart).holds
    assert not (apart / "partitions").exists()


@settings(max_examples=5, deadline=None)
@given(records=st.integers(1, 30), size=st.integers(1, 900))
def test_results_are_the_same_for_any_cut(work, whole, tmp_path_factory, records, size):
    folder = tmp_path_factory.mktemp("cut")
    apart, record = run(folder, "run", cut(records, str(size)), base=work)
    assert stage_rows(apart) == stage_rows(whole[0])
    assert results(apart) == results(whole[0])
    assert said(record) == said(whole[1])


def test_answers_of_a_model_are_the_same_in_partitions(tmp_path, chat_model):
    rows = [{"id": f"q{n}", "question": f"Where is {n}?", "references": ["Rask"]} for n in range(3)]
    write_lines(tmp_path / "questions.jsonl", rows)
    roles = ("generator", "entailment")
    given = {
        "kind": "evaluate",
        "schedule": "sequential",
        "roles": {name: {"model": str(chat_model), "batch": 1} for name in roles},
        "budget": {"gpus": "cpu"},
        "captures": [{"sites": ["blocks.1.hook_resid_post"], "positions": "last", "keep": "disk"}],
        "prompt_tokens": 96,
        "new_tokens": 4,
        "examples": 3,
        "evaluate": {"input": "questions.jsonl", "samples": 2, "clusters_by": "entailment"},
    }
    given["captures"][0]["role"] = "generator"
    whole, record = run(tmp_path, "whole", given)
    apart, other = run(tmp_path, "apart", cut(2, given=given))
    stages = ("greedy", "samples", "entailment")
    assert stage_rows(apart, stages) == stage_rows(whole, stages)
    assert results(apart) == results(whole)
    assert items_of(apart) == items_of(whole)
    assert items_of(whole)["entailment"] > 2
    freed = [[one["role"] for one in each.outcome["freed"]] for each in (other, record)]
    assert sorted(freed[0]) == sorted(freed[1])
    assert other.outcome["states"] == record.outcome["states"]
    assert other.outcome["proofs"] == record.outcome["proofs"]
    assert ullage.check_run(apart).holds


def items_of(folder):
    """How many items each stage has; they are numbered through, and each is there once, as is each unit."""
    entries = [entry for entry in read_journal(folder / "journal.jsonl") if "items" in entry]
    found = {}
    for stage in {entry["stage"] for entry in entries}:
        own = [entry for entry in entries if entry["stage"] == stage]
        items = sorted(item for entry in own for item in entry["items"])
        assert items == list(range(len(items))), stage
        assert len({entry["unit"] for entry in own}) == len(own)
        found[stage] = len(items)
    return found


@pytest.fixture(scope="module")
def chat_model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "chat"
    return small_models.save(folder, "llama", hidden=64, layers=2, chat=True)


class Stopped(Exception):
    """Stands for whatever ends a process."""


def after(stop, place, name, count, put=setattr):
    """The function `name` calls `stop` first when it is called for the time after `count`."""
    was, left = getattr(place, name), [count]

    def stopping(*given, **named):
        left[0] -= 1
        if left[0] < 0:
            stop()
        return was(*given, **named)

    put(place, name, stopping)


def stop_after(monkeypatch, place, name, count):
    def stop():
        raise Stopped

    after(stop, place, name, count, monkeypatch.setattr)


@pytest.mark.parametrize("count", [1, 12])
def test_a_merge_that_was_cut_short_goes_on(work, whole, tmp_path, monkeypatch, count):
    with monkeypatch.context() as patched:
        stop_after(patched, merging._Merging, "take", count)
        with pytest.raises(Stopped):
            run(tmp_path, "run", cut(9), base=work)
    assert len(read_journal(tmp_path / "run/journal.jsonl")) == count
    with (tmp_path / "run/greedy.jsonl").open("ab") as file:
        file.write(b"half a li")
    ullage.resume(tmp_path / "run")
    assert stage_rows(tmp_path / "run") == stage_rows(whole[0])
    assert results(tmp_path / "run") == results(whole[0])


@pytest.mark.parametrize("merging_now", [False, True])
def test_killed_by_the_system_a_run_goes_on(work, whole, tmp_path, merging_now):
    """The command in a process of its own, killed in a partition, and while partitions are put together."""
    (tmp_path / "work.json").write_text(json.dumps(cut(4)))
    for name in ("answers", "judge", "questions"):
        (tmp_path / f"{name}.jsonl").write_bytes((work / f"{name}.jsonl").read_bytes())
    folder = tmp_path / "run"
    child = os.fork()
    if not child:
        stop = partial(os.kill, os.getpid(), signal.SIGKILL)
        after(stop, *(merging._Merging, "take", 9) if merging_now else (Inquiries, "weigh", 6))
        main(["run", str(tmp_path / "work.json"), "--out", str(folder), "--quiet"])
        os._exit(3)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
    assert Parts(folder).kept == (7 if merging_now else 5)
    with pytest.raises(SystemExit, match="0"):
        main(["run", "--resume", str(folder), "--quiet"])
    assert results(folder) == results(whole[0])


def test_a_record_that_ends_its_actors_is_an_answer_that_failed(work, whole, tmp_path, monkeypatch):
    with monkeypatch.context() as patched:
        stop_after(patched, partitioned, "do_partition", 0)
        patched.setattr(RunFolder, "discard", lambda folder: None)
        with pytest.raises(Stopped):
            run(tmp_path, "run", cut(9), base=work)
    lines = (work / "questions.jsonl").read_text().splitlines()
    number = next(n for n, line in enumerate(lines, 1) if '"q11"' in line)
    Parts(tmp_path / "run").reject(number, "it ended three actors")
    record = ullage.resume(tmp_path / "run")
    scores = json.loads((tmp_path / "run/scores.json").read_text())
    assert scores["failed"] == [{"id": "q11", "reason": "it ended three actors"}]
    assert record.outcome["partitions"]["rejected"] == 1
    assert not record.outcome[AGAIN]
    ours, theirs = (stage_rows(folder)["greedy"] for folder in (tmp_path / "run", whole[0]))
    assert (ours - theirs).total() == (theirs - ours).total() == 1


def test_what_a_server_failed_is_asked_again_once_the_whole_is_there(work, tmp_path, monkeypatch):
    monkeypatch.setenv("TEST_KEY", "sk-test")
    broken = [True]

    def behave(body, seen):
        if broken[0] and "person 3 " in body["messages"][-1]["content"]:
            return 400, {"error": {"message": "no"}}
        return 200, completion("Rask")

    server = Server(behave)
    try:
        engine = {"base_url": server.url, "key_env": "TEST_KEY", "retries": 0}
        roles = {**SCRIPTED["roles"], "generator": {"model": "m", "engine": "openai", "openai": engine}}
        evaluate = {"input": "questions.jsonl", "judge_check": 0}
        given = {**SCRIPTED, "roles": roles, "evaluate": evaluate}
        with monkeypatch.context() as patched:
            stop_after(patched, merging, "_between", 4)
            with pytest.raises(Stopped):
                run(tmp_path, "run", cut(6, given=given), base=work)
        first = ullage.resume(tmp_path / "run")
        assert first.outcome[AGAIN]
        assert first.outcome["usage"]["generator"]["requests"] == 23 - 2
        broken[0] = False
        second = ullage.resume(tmp_path / "run")
    finally:
        server.http.shutdown()
    assert not second.outcome[AGAIN]
    assert second.examples == 23
    assert second.outcome[OUTCOME][0]["what"] == "questions"
    assert not json.loads((tmp_path / "run/scores.json").read_text())["failed"]


REFUSED = [
    ({"input": ["questions.jsonl", "questions.jsonl"]}, UnsupportedError, "names several files"),
    ({"input": "table.csv"}, UnsupportedError, "only plain JSON lines are cut"),
    ({"input": "questions.jsonl", "shots": 2}, UnsupportedError, "evaluate.shots: worked examples"),
    ({"input": "twice.jsonl"}, InputError, "twice.jsonl:3: id 'q1' is that of twice.jsonl:1 too"),
    ({"input": "bad.jsonl"}, InputError, "bad.jsonl:2: not JSON"),
    ({"input": "none.jsonl"}, InputError, "none.jsonl: holds no questions"),
    ({"input": "absent.jsonl"}, InputError, "absent.jsonl"),
    ({"input": "bare.jsonl"}, InputError, "no record has the field 'references'"),
]


@pytest.mark.parametrize("changed, kind, said", REFUSED, ids=range(len(REFUSED)))
def test_what_cannot_be_cut_is_refused_before_anything_is_done(tmp_path, changed, kind, said):
    write_lines(tmp_path / "answers.jsonl", ANSWERS)
    write_lines(tmp_path / "judge.jsonl", JUDGED)
    write_lines(tmp_path / "questions.jsonl", [question(n) for n in range(4)])
    write_lines(tmp_path / "twice.jsonl", [question(1), question(2), question(1)])
    (tmp_path / "table.csv").write_text("id,question\n1,hello\n")
    (tmp_path / "bad.jsonl").write_text(json.dumps(question(1)) + "\nno record\n")
    (tmp_path / "none.jsonl").write_text("\n \n")
    write_lines(tmp_path / "bare.jsonl", [{"question": "Why?"}])
    with pytest.raises(UllageError) as raised:
        run(tmp_path, "run", cut(1, given={**SCRIPTED, "evaluate": changed}))
    assert said in str(raised.value)
    assert isinstance(raised.value, kind)
    assert not (tmp_path / "run").exists()


def test_turns_of_conversations_and_a_limit_keep_their_numbers(work, tmp_path):
    rows = [
        {
            "id": f"c{n}",
            "story": "Ada lives in Rask.",
            "questions": [f"person {n} , then?", "And person 2 ?", "person 5 now?"][: 1 + n % 3],
            "answers": ["Rask", "unknown", "Ostra"][: 1 + n % 3],
        }
        for n in range(7)
    ]
    for name in ("answers", "judge"):
        (tmp_path / f"{name}.jsonl").write_bytes((work / f"{name}.jsonl").read_bytes())
    write_lines(tmp_path / "coqa.jsonl", rows)
    evaluate = {"input": "coqa.jsonl", "format": "coqa", "samples": 2, "p_true": True, "limit": 8}
    given = {**SCRIPTED, "evaluate": evaluate}
    whole, record = run(tmp_path, "whole", given)
    apart, other = run(tmp_path, "apart", cut(2, given=given))
    assert stage_rows(apart) == stage_rows(whole)
    assert results(apart) == results(whole)
    assert said(other) == said(record)
    assert other.outcome["partitions"]["count"] == 3  # of records that hold the first eight


TWO_MODELS = {
    "kind": "evaluate",
    "roles": {"generator": {"model": "llama-3.1-8b"}, "judge": {"model": "qwen2.5-7b"}},
    "prompt_tokens": 200,
    "new_tokens": 50,
    "evaluate": {"input": "questions.jsonl"},
}


def test_a_plan_counts_what_each_partition_loads(tmp_path):
    given = {**TWO_MODELS, "examples": 25_000}

    def loads(**partition):
        made = ullage.plan(ullage.load({**given, **partition}), "H100-80GB")
        phases = [phase for phase in made.phases if phase.activity == "load"]
        return [phase.passes_of(25_000) for phase in phases]

    assert loads() == [1, 1]
    assert loads(partition={}) == [3, 3]
    assert loads(partition={"records": 1000}) == [25, 25]
    assert loads(partition={"records": 1000}, schedule="simultaneous") == [1, 1]
    told = ullage.plan(ullage.load({**given, "partition": {}}), "H100-80GB").notes
    assert "each of 3 partitions loads its models anew, which is in the times" in told
    swapped = {**given, "schedule": "swapped", "partition": {}}
    made = ullage.plan(ullage.load(swapped), "H100-80GB")
    first = next(phase for phase in made.phases if phase.activity == "prefill")
    where = [(each.name, each.where) for each in first.resident]
    assert where == [("generator", "device"), ("judge", "host")]


def test_a_cluster_shares_out_what_each_partition_loads():
    given = {**TWO_MODELS, "examples": 1_000_000}
    nodes = "4x(2xH100-80GB)"
    swapped = ullage.plan_cluster(ullage.load(given), nodes)
    staying = ullage.plan_cluster(ullage.load({**given, "schedule": "simultaneous"}), nodes)
    said = ullage.plan_cluster(ullage.load({**given, "partition": {"records": 100}}), nodes)
    assert swapped.partition > 2 * staying.partition
    assert any("each partition loads its models anew" in note for note in swapped.notes)
    assert not any("loads its models anew" in note for note in staying.notes)
    assert said.partition == 100
    assert said.seconds.expected > swapped.seconds.expected


def test_what_actors_do_of_an_evaluation_is_what_is_done_here(work, whole, tmp_path, monkeypatch):
    """Each opens the run by its folder alone; the driver holds no model, and says what is said of all. A
    trial of none of a partition's records still asks the known answers, which the first one does."""
    options = Options(quiet=True)

    class Carrying(partitioned.Here):
        def carry(self, session, parts):
            run = session.folder
            for number in reversed([*parts.left()]):
                own = RunFolder(tmp_path / f"actor{number}")
                own.path.mkdir()
                made = plan_of(run.manifest().plan, str(run.path), work)
                with open_session(made, own, options) as opened:
                    do_partition(opened, parts, parts.part(number), f"a{number % 2}", "node")
                    tried.append(number)
                    try_partition(opened, parts, parts.part(number), range(0))

    def known(*given):
        asked.append(tried[-1] if tried else None)
        return real(*given)

    asked, tried, real = [], [], evaluating.known_answers
    monkeypatch.setattr(evaluating, "known_answers", known)
    made = ullage.plan(ullage.load(cut(5)), "cpu", base=work)
    execute(made, tmp_path / "run", options, Begun(carrier=Carrying()))
    assert results(tmp_path / "run") == results(whole[0])
    accounts = RunFolder(tmp_path / "run").record().outcome["partitions"]
    assert {name: each["partitions"] for name, each in accounts["actors"].items()} == {"a0": 3, "a1": 3}
    assert asked == [1, 0]
