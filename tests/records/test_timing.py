"""Times of past runs: what a run leaves, what a later plan takes from it, and from no other."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import ullage
from ullage.planning.measured_time import MeasuredTime
from ullage.records.evidence_file import keep_evidence, read_evidence
from ullage.records.observation import Key
from ullage.records.timing import ENOUGH, ROOM, ROOM_FEW, Timing, interval_of, learned_times, times_of
from ullage.workloads.runs import plan_here

KEY = Key("L4", "590", "2.11", "5.17", 8)
TIMING = Timing(
    KEY,
    "ullage 0.1.0",
    "2x L4",
    "extract",
    "model extract prefill",
    "4 x (0 + 64 + 0)",
    6.0,
    3.0,
    "2026",
    "r",
)
OTHERS = [
    replace(TIMING, key=replace(KEY, gpu="A40")),
    replace(TIMING, key=replace(KEY, driver="580")),
    replace(TIMING, key=replace(KEY, torch="2.13")),
    replace(TIMING, key=replace(KEY, transformers="5.19")),
    replace(TIMING, key=replace(KEY, threads=2)),
    replace(TIMING, software="ullage 0.2.0"),
    replace(TIMING, gpus="1x L4"),
    replace(TIMING, workload="pii"),
]
seconds = st.lists(st.floats(1e-3, 1e5), min_size=1, max_size=40)


def taken(*timings):
    return times_of(timings, KEY, "2x L4", "extract", "0.1.0")


@given(seconds)
def test_every_run_lies_inside_what_few_runs_say_and_nine_of_ten_inside_what_many_do(found):
    ends = interval_of(found)
    inside = [each for each in found if ends.low <= each <= ends.high]
    assert ends.low <= ends.expected <= ends.high
    if len(found) < ENOUGH:
        assert inside == found
        assert ends.low == min(found) / ROOM_FEW
    else:
        assert len(inside) >= 0.8 * len(found)
        assert ends.high <= max(found) * ROOM


def test_seconds_are_of_one_pass_and_the_source_names_card_and_software():
    (found,) = taken(TIMING).values()
    assert found.seconds == (2.0 / ROOM_FEW, 2.0, 2.0 * ROOM_FEW)
    for said in ("1 run of this workload measured here on L4", "torch 2.11", "8 threads", "ullage 0.1.0"):
        assert said in found.source


@pytest.mark.parametrize("other", OTHERS)
def test_a_run_of_another_card_version_or_workload_is_no_evidence(other):
    slow = replace(other, seconds=600.0)
    assert taken(slow) == {}
    assert taken(TIMING, slow) == taken(TIMING)


def test_another_manner_of_the_same_work_stands_by_itself():
    other = replace(TIMING, manner="8 x (0 + 64 + 0)", seconds=9.0)
    assert {done[1]: time.seconds.expected for done, time in taken(TIMING, other).items()} == {
        "4 x (0 + 64 + 0)": 2.0,
        "8 x (0 + 64 + 0)": 3.0,
    }


def test_of_what_quantizes_the_version_that_ran_last_counts():
    old = replace(TIMING, software="ullage 0.1.0, bitsandbytes 0.45", seconds=60.0)
    new = replace(TIMING, software="ullage 0.1.0, bitsandbytes 0.48")
    (found,) = taken(old, new).values()
    assert found.seconds.expected == 2.0
    assert "bitsandbytes 0.48" in found.source


def test_they_are_kept_and_read_back_and_what_is_none_is_counted(tmp_path):
    path = tmp_path / "evidence.jsonl"
    assert keep_evidence([TIMING, *OTHERS], path) == ""
    with path.open("a") as file:
        line = json.loads(path.read_text().splitlines()[0])
        for wrong in ({"seconds": -1}, {"seconds": "long"}, {"passes": 1e300}, {"more": 1}):
            file.write(json.dumps({**line, **wrong}) + "\n")
    found = read_evidence(path)
    assert found.timings == (TIMING, *OTHERS)
    assert dict(found.set_aside) == {"a time that cannot be": 2, "no observation": 2}
    assert found.newest("A40") == OTHERS[0].key
    assert len(learned_times(found.timings, "0.1.0")) == len(OTHERS)


@pytest.fixture
def work(tmp_path):
    (tmp_path / "texts.txt").write_text("one two three four\n" * 40)
    workload = {
        "kind": "extract",
        "roles": {"model": {"model": "ullage:tiny"}},
        "captures": [{"sites": ["ln_final"]}],
        "extract": {"input": "texts.txt"},
        "prompt_tokens": 8,
        "batch": 4,
        "examples": 40,
        "budget": {"gpus": "cpu"},
    }
    path = tmp_path / "w.json"
    path.write_text(json.dumps(workload))
    return path


def test_a_run_on_this_machine_is_what_the_next_plan_of_it_says(work, tmp_path):
    before = plan_here(ullage.load(work), base=work.parent)
    assert {time.basis for time in before.times} <= {"derived", "unknown"}
    _, record = ullage.run(ullage.load(work), tmp_path / "run", base=work.parent)
    after = plan_here(ullage.load(work), base=work.parent)
    took = {each.phase: each.seconds for each in record.measured}
    assert took
    for time in after.times:
        assert time.basis == "measured"
        assert time.total_seconds.expected == pytest.approx(took[time.phase])
        assert time.total_seconds.low < took[time.phase] < time.total_seconds.high
        assert "1 run of this workload measured here on CPU" in time.source
    assert "measured: 1 run of this workload measured here on CPU" in " ".join(after._repr_html_().split())
    assert {time["basis"] for time in after.to_json()["times"]} == {"measured"}
    outcome = ullage.api.outcome(ullage.load(work), after.models, after.gpus, base=work.parent)
    assert outcome.seconds_per_1000 == pytest.approx(sum(took.values()) * 1000 / 40)
    other = plan_here(ullage.load(work, ["batch=8"]), base=work.parent)
    assert {time.phase for time in other.times if time.basis == "measured"} == {"model load"}
    unlike = plan_here(ullage.load(work, ["roles.model.precision=nf4"]), base=work.parent)
    assert "measured" not in {time.basis for time in unlike.times}


def test_a_plan_made_before_a_run_is_held_against_what_it_took(work, tmp_path):
    folder, record = ullage.run(ullage.load(work), tmp_path / "run", base=work.parent)
    found = ullage.verify(folder)
    took = {each.phase: each.seconds for each in record.measured}
    assert {each.phase: each.measured for each in found.times} == took
    for each in found.times:
        assert each.examples == 40
        assert each.error == pytest.approx(each.predicted.expected / each.measured - 1)
    assert "seconds for 40 examples: planned (from, to) beside measured" in str(found)
    again, _ = ullage.run(ullage.load(work), tmp_path / "again", base=work.parent)
    later = ullage.verify(again)
    assert {each.basis for each in later.times} == {"measured"}
    assert later.holds == found.holds


def test_a_run_that_was_resumed_leaves_no_times(work, tmp_path):
    folder, _ = ullage.run(ullage.load(work), tmp_path / "run", base=work.parent)
    (Path(folder) / "record.json").unlink()
    left = len(read_evidence().timings)
    record = ullage.resume(folder)
    assert record.resumed
    assert len(read_evidence().timings) == left
    assert ullage.verify(folder).times == ()


def test_what_is_measured_replaces_what_is_derived_and_says_so():
    found = ullage.estimate_model("Qwen/Qwen2.5-0.5B-Instruct", "L4", new_tokens=4)
    assert {time.basis for time in found.times} == {"derived"}
    assert all(isinstance(each, MeasuredTime) for each in taken(TIMING).values())
    odd = ullage.estimate_model("Qwen/Qwen2.5-0.5B-Instruct", "P100-PCIE-16GB", new_tokens=4)
    assert {time.basis for time in odd.times if time.seconds is None} == {"unknown"}
