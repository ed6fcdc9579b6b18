"""Several processes that did one run: what was measured in each, and what is told of all of them."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import pytest

from ullage.errors import FormatError
from ullage.records.record import Environment, Measured, Record
from ullage.records.replica import (
    Replica,
    record_of_all,
    records_of_each_kind,
    replicas_in,
    said_of_machines,
    share_a_machine,
    together,
)
from ullage.records.verification import verify

L4 = Environment("L4", "1", "2.13.0", "5.19", "3.11", "0.1", 1)
A100 = replace(L4, gpu="A100")
LOAD = Measured("load", "gpu:0", 10, 20, 30, None, 3.0, {"weights": 10}, "load")
SCORE = Measured("score", "gpu:0", 100, 200, 300, 400, 5.0, {"weights": 10, "captures": 1}, "prefill")


def replica(node, records=10, environment=L4, held=7, **changes):
    return Replica(node, 2, records, 6.0, held, (LOAD, replace(SCORE, **changes)), environment)


def record(**replicas):
    actors = {name: asdict(each) for name, each in replicas.items()}
    outcome = json.loads(json.dumps({"partitions": {"count": 4, "actors": actors}}))
    return Record(replace(L4, gpu="a driver's"), (), 30, 0, 9.0, 0, outcome)


def test_what_a_record_tells_of_replicas_is_read_back():
    found = {"a": replica("one"), "b": replica("two", live=1)}
    assert replicas_in(record(**found).outcome) == found
    assert replicas_in({}) == {}
    with pytest.raises(FormatError, match="actors"):
        replicas_in({"partitions": {}})


def test_replicas_on_one_machine_share_it():
    assert not share_a_machine(record(a=replica("one"), b=replica("two")).outcome)
    assert share_a_machine(record(a=replica("one"), b=replica("two"), c=replica("one")).outcome)
    assert not share_a_machine({})


def test_of_all_of_them_each_level_is_the_most_and_seconds_add_up_but_loading():
    load, score = together(
        [replica("one"), replica("two", live=90, process=900, on_device=None, seconds=1.0)]
    )
    assert (load.seconds, score.seconds) == (3.0, 6.0)
    assert (score.live, score.reserved, score.process, score.on_device) == (100, 200, 900, 400)
    other = together([replica("one"), replica("two", components={"kv_cache": 5, "captures": 9})])[1]
    assert other.components == {"weights": 10, "captures": 9, "kv_cache": 5}


def test_a_record_says_where_most_was_done():
    found = record(a=replica("one"), b=replica("two", 25, A100), c=replica("three", 12))
    assert record_of_all(found).environment == A100
    assert {(each.phase, each.live) for each in record_of_all(found).measured} == {
        ("load", 10),
        ("score", 100),
    }
    alone = Record(L4, (SCORE,), 1, 0, 1.0, 0)
    assert record_of_all(alone) == alone


def test_cards_of_several_kinds_are_remarked():
    assert said_of_machines(record(a=replica("one"), b=replica("two")).outcome) == ()
    (line,) = said_of_machines(record(a=replica("one"), b=replica("two", 25, A100)).outcome)
    assert line.startswith("done on A100 (torch 2.13.0), L4 (torch 2.13.0): ")


def test_machines_of_each_kind_leave_their_own():
    found = record(a=replica("one", held=3), b=replica("two", 25, A100), c=replica("three", 12, held=9))
    (first, held), (second, other) = records_of_each_kind(found)
    assert (first.environment, first.examples, held) == (L4, 22, 9)
    assert (second.environment, second.examples, other) == (A100, 25, 7)


def test_what_is_done_once_is_done_in_each_partition_but_for_loading():
    def phase(name, activity):
        return {"name": name, "once": True, "work": {"activity": activity, "passes": 1}}

    one = {"low": 1, "expected": 1, "high": 1}
    phases = [phase("load", "load"), phase("score", "prefill")]
    times = [{"phase": each["name"], "seconds": one} for each in phases]
    plan = {"devices": [], "items": [], "times": times, "phases": phases}
    found = verify(plan, record_of_all(record(a=replica("one"), b=replica("two"))))
    assert [(each.phase, each.predicted.high, each.measured) for each in found.times] == [
        ("load", 1, 3.0),
        ("score", 4, 10.0),
    ]


def test_each_replica_is_held_against_the_plan():
    def interval(high):
        return {"low": 0, "expected": high, "high": high}

    levels = {level: interval(250) for level in ("live", "reserved", "process", "device")}
    phases = [{"name": "score", **levels}]
    plan = {"devices": [{"name": "gpu:0", "phases": phases}], "items": [], "times": [], "phases": []}
    small = replica("one", process=240, on_device=None)
    large = replica("two", process=260, on_device=None)
    found = verify(plan, record_of_all(record(a=small, b=large)))
    first, second = found.replicas
    assert (first.actor, first.node, first.partitions) == ("a", "one", 2)
    assert [each.verdict for each in first.comparisons] == ["inside"] * 3
    assert [each.verdict for each in second.comparisons] == ["inside", "inside", "above"]
    assert not found.holds
    assert verify(plan, record_of_all(record(a=small))).replicas == ()
