"""What past runs measured, and what is taken from it."""

import json
import os
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import ullage
from ullage.memory.process import LIBRARIES, TORCH_CONTEXT, beside_tensors
from ullage.records.evidence import ENOUGH, RISK, ROOM, ROOM_ABOVE, Evidence, learned
from ullage.records.evidence_file import clear_evidence, keep_evidence, known_evidence, read_evidence
from ullage.records.observation import Key, Observation, observations_of, shape_of
from ullage.records.record import Environment, Measured, Record
from ullage.units import MIB

KEY = Key("CPU", "6.1", "2.13", "5.19", 2)
OTHERS = [
    replace(KEY, gpu="H200"),
    replace(KEY, driver="7"),
    replace(KEY, torch="2.11"),
    replace(KEY, transformers="4.0"),
    replace(KEY, threads=1),
]
WORKLOAD = "extract; model: ullage:tiny auto transformers 1 x (1 + 1)"
WHERE = Environment("H200", "590", "2.11", "5.17", "3.11", "0.1.0", 8)


def seen(overhead, workload=WORKLOAD, key=KEY, held=0):
    return Observation(key, overhead, held, workload, "model extract", "2026-01-01T00:00:00Z", "extract-1")


def record(*overheads, where=WHERE):
    measured = tuple(
        Measured(f"model extract {index}", "gpu:0", 10, 20, 20 + overhead, 50, 1.0)
        for index, overhead in enumerate(overheads)
    )
    return Record(where, measured, 1, 1, 1.0, 0)


def observed(*overheads, where=WHERE):
    return observations_of(record(*overheads, where=where), WORKLOAD, "run-1", "2026-01-01T00:00:00Z")


sizes = st.integers(min_value=1, max_value=4000).map(lambda size: size * MIB)
observations = st.lists(
    st.builds(
        seen,
        sizes,
        st.sampled_from([WORKLOAD, "pii", "evaluate"]),
        st.sampled_from([KEY, KEY, KEY, *OTHERS]),
    ),
    max_size=60,
)


@given(observations, st.sampled_from(OTHERS), sizes, st.sampled_from([WORKLOAD, "pii"]))
def test_an_observation_under_another_key_changes_nothing(known, other, size, workload):
    before = Evidence(tuple(known)).overhead(KEY, WORKLOAD, LIBRARIES)
    after = Evidence((*known, seen(size, workload, other))).overhead(KEY, WORKLOAD, LIBRARIES)
    assert after == before


@given(observations, sizes)
def test_few_observations_never_narrow_what_is_usual(known, held):
    same = [each for each in known if (each.key, each.workload) == (KEY, WORKLOAD)]
    for usual, holds in ((LIBRARIES, 0), (beside_tensors(True, held, False), held)):
        found = Evidence(tuple(known)).overhead(KEY, WORKLOAD, usual, holds)
        if found is not None and len(same) < ENOUGH:
            assert found.bytes.low <= usual.low
            assert found.bytes.high >= usual.high
            assert all(found.bytes.low <= each.overhead + holds <= found.bytes.high for each in same)


@given(observations)
def test_observations_of_other_workloads_never_narrow(known):
    others = tuple(each for each in known if each.workload != WORKLOAD)
    found = Evidence(others).overhead(KEY, WORKLOAD, LIBRARIES)
    if found is not None:
        assert found.bytes.low <= LIBRARIES.low
        assert found.bytes.high >= LIBRARIES.high


@given(st.lists(sizes, min_size=1, max_size=60), sizes)
def test_a_larger_largest_never_lowers_what_is_planned_at_most(values, more):
    def high(each):
        return Evidence(tuple(map(seen, each))).overhead(KEY, WORKLOAD, LIBRARIES).bytes.high

    largest = max(values)
    grown_ = [value + more if value == largest else value for value in values]
    assert high(grown_) >= high(values)


@given(st.lists(sizes, min_size=ENOUGH, max_size=100))
def test_at_most_one_run_in_ten_was_above_what_many_observations_give(values):
    found = Evidence(tuple(map(seen, values))).overhead(KEY, WORKLOAD, LIBRARIES)
    above = sum(value > found.bytes.high for value in values)
    below = sum(value < found.bytes.low for value in values)
    assert above <= max((len(values) + 1) // RISK - 1, 0)
    assert below <= max((len(values) + 1) // RISK - 1, 0)


@given(observations, sizes)
def test_no_end_is_below_what_the_process_holds(known, held):
    found = Evidence(tuple(known)).overhead(KEY, WORKLOAD, beside_tensors(True, held, False), held)
    if found is not None:
        assert found.bytes.low >= held


def test_a_few_outliers_among_forty_are_passed_over():
    usual = [seen((540 + index) * MIB) for index in range(34)]
    outliers = [seen(size * MIB) for size in (3000, 3000, 3000, 20, 20, 20)]
    found = Evidence((*usual, *outliers)).overhead(KEY, WORKLOAD, LIBRARIES)
    assert found.bytes.high == 573 * MIB * 5 // 4 + ROOM_ABOVE
    assert found.bytes.low == 540 * MIB - ROOM
    assert "40 runs of this workload" in found.source


def test_what_another_process_held_before_does_not_count_for_this_one():
    crowded = seen(3050 * MIB, held=3000 * MIB)
    found = Evidence((crowded,)).overhead(KEY, WORKLOAD, beside_tensors(True, 500 * MIB, True), 500 * MIB)
    assert found.bytes == beside_tensors(True, 500 * MIB, True)._replace(expected=550 * MIB)


def test_several_runs_of_other_workloads_outside_tell_of_the_machine():
    large = [seen(1500 * MIB, "pii")] * 3
    assert Evidence(tuple(large[:2])).overhead(KEY, WORKLOAD, LIBRARIES).bytes == LIBRARIES
    assert Evidence(tuple(large)).overhead(KEY, WORKLOAD, LIBRARIES).bytes.high > 1500 * MIB


def test_it_is_kept_and_read_back(tmp_path):
    path = tmp_path / "deep" / "evidence.jsonl"
    assert keep_evidence(observed(100, 300), path) == ""
    assert keep_evidence(observed(200), path) == ""
    found = read_evidence(path)
    assert [each.overhead for each in found.observations] == [300, 200]
    assert found.observations[0].phase == "model extract 1"
    assert found.observations[0].key == Key("H200", "590", "2.11", "5.17", 8)
    assert found.warning == ""
    assert [each.runs for each in learned(found)] == [2]
    assert learned(found)[0].overhead.bytes == TORCH_CONTEXT._replace(low=0, expected=250)


def test_what_is_none_is_counted_and_named(tmp_path):
    path = tmp_path / "evidence.jsonl"
    keep_evidence(observed(100), path)
    good = json.loads(path.read_text())
    old = {name: good[name] for name in ("gpu", "driver", "torch", "transformers", "overhead")}
    lines = ["garbage", "{}", "[]", json.dumps(old), json.dumps(good | {"overhead": 10**18})]
    lines += [json.dumps(good | {"threads": True}), json.dumps(good | {"more": 1}), "[" * 100_000]
    path.write_text(path.read_text() + "\n".join(lines) + "\n")
    found = read_evidence(path)
    assert len(found.observations) == 1
    assert dict(found.set_aside) == {
        "not JSON": 2,
        "no observation": 4,
        "of version 0.1, which kept neither threads nor workload": 1,
        "a size that cannot be": 1,
    }
    assert "\n" not in found.warning
    assert "8 lines not counted" in found.warning


@given(st.lists(st.one_of(st.binary(), st.text().map(str.encode)), max_size=8).map(b"\n".join))
@example(b"\xff\xfe" * 100)
@example(b"\x00")
@example(b'{"overhead": 1e999}')
@example(b'{"overhead": ' + b"9" * 5000 + b"}")
def test_no_file_raises(garbage):
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "evidence.jsonl"
        path.write_bytes(garbage)
        found = read_evidence(path)
        assert found.observations == ()
        assert found.damage == ""
        assert keep_evidence(observed(100), path) == ""
        assert [each.overhead for each in read_evidence(path).observations] == [100]
        assert path.read_bytes().startswith(garbage)


def test_a_line_cut_short_does_not_take_the_next_with_it(tmp_path):
    path = tmp_path / "evidence.jsonl"
    keep_evidence(observed(100), path)
    path.write_bytes(path.read_bytes()[:-20])
    keep_evidence(observed(200), path)
    assert [each.overhead for each in read_evidence(path).observations] == [200]


def test_what_is_no_file_is_named_and_renamed_aside(tmp_path):
    path = tmp_path / "evidence.jsonl"
    path.mkdir()
    (path / "kept").write_text("mine")
    assert "is a folder" in read_evidence(path).warning
    said = keep_evidence(observed(100), path)
    assert "renamed to evidence.jsonl.aside-1" in said
    assert (tmp_path / "evidence.jsonl.aside-1" / "kept").read_text() == "mine"
    assert len(read_evidence(path).observations) == 1


def test_a_pipe_is_not_waited_for(tmp_path):
    path = tmp_path / "evidence.jsonl"
    os.mkfifo(path)
    assert "no ordinary file" in read_evidence(path).damage


def test_what_cannot_be_kept_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    said = keep_evidence(observed(100), tmp_path / "file" / "evidence.jsonl")
    assert "cannot be kept as evidence" in said


def test_later_plans_use_it_and_say_so(monkeypatch, tmp_path):
    monkeypatch.setenv("ULLAGE_HOME", str(tmp_path))
    plain = ullage.estimate_model("Qwen/Qwen2.5-7B-Instruct", "1xA100-80GB")
    where = replace(WHERE, gpu=plain.gpus.gpus[0].id)
    measured = (Measured("model prefill", "gpu:0", 1, 2, 2 + 800 * MIB, 9, 1.0),)
    workload = ullage.api.bare_workload("Qwen/Qwen2.5-7B-Instruct")
    found = observations_of(Record(where, measured, 1, 1, 1.0, 0), shape_of(workload), "run", "2026-01-01")
    keep_evidence(found)
    later = ullage.estimate_model("Qwen/Qwen2.5-7B-Instruct", "1xA100-80GB")
    items = [item for item in later.bill.items if item.component == "context"]
    assert {item.bytes.expected for item in items} == {800 * MIB}
    assert "1 run of this workload" in items[0].note
    assert later.devices[0].peak.process.expected > plain.devices[0].peak.process.expected
    assert later.warnings == ()
    (tmp_path / "evidence.jsonl").write_text("nothing of ours\n")
    assert ullage.estimate_model("Qwen/Qwen2.5-7B-Instruct", "1xA100-80GB").warnings == (
        known_evidence().warning,
    )


def test_no_file_is_no_evidence(tmp_path):
    assert read_evidence(tmp_path / "none").observations == ()
    assert read_evidence(tmp_path / "none").warning == ""


def test_it_is_removed_and_what_was_removed_is_known(tmp_path):
    path = tmp_path / "evidence.jsonl"
    keep_evidence(observed(100), path)
    assert len(clear_evidence(path).observations) == 1
    assert not path.exists()
    assert clear_evidence(path).observations == ()


def test_a_shape_names_no_folder_of_the_user():
    shapes = [shape_of(ullage.api.bare_workload(f"/data/{name}/llama")) for name in ("one", "other")]
    for shape in shapes:
        assert shape.startswith("estimate; model: llama #")
        assert shape.endswith(" auto transformers 1 x (1024 + 0)")
        assert "data" not in shape
    assert shapes[0] != shapes[1]


def test_what_is_captured_is_another_shape():
    one = {"kind": "extract", "roles": {"model": "ullage:tiny"}, "captures": [{"sites": ["ln_final"]}]}
    other = {**one, "captures": [{"sites": ["ln_final"], "positions": "last"}]}
    assert shape_of(ullage.load(one)) != shape_of(ullage.load(other))


def test_clearing_a_folder_is_refused_in_one_line(monkeypatch, tmp_path):
    monkeypatch.setenv("ULLAGE_HOME", str(tmp_path))
    (tmp_path / "evidence.jsonl").mkdir()
    with pytest.raises(ullage.errors.InputError, match="cannot be removed"):
        ullage.clear_evidence()
