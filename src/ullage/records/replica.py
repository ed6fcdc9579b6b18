"""Who did partitions of a run, and what was measured in each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from ullage.fields import Fields
from ullage.records.attempts import LEFT_OUT
from ullage.records.observation import key_of
from ullage.records.record import Environment, Measured, Record, read_environment, read_measured

PARTITIONS: Final = "partitions"
ACTORS: Final = "actors"
"""Of a record's outcome: `partitions.actors` are the replicas by name."""


@dataclass(frozen=True, slots=True)
class Replica:
    """One process that did partitions: on which node, how many with how many records, in how many seconds;
    what it measured where, and the bytes it `held` before any model."""

    node: str
    partitions: int
    records: int
    seconds: float
    held: int
    measured: tuple[Measured, ...]
    environment: Environment


def replicas_in(outcome: Mapping[str, object]) -> dict[str, Replica]:
    """By name those that a record's outcome tells of; none of a run that was not done in partitions. Raises
    FormatError."""
    if PARTITIONS not in outcome:
        return {}
    actors = Fields(outcome, "the record's outcome").inner(PARTITIONS).inner(ACTORS)
    return {name: _read(actors.inner(name)) for name in actors.values}


def partitions_of(record: Record) -> int:
    """How many partitions a run was done in; 1 where it was done as a whole."""
    accounts = record.outcome.get(PARTITIONS)
    count = accounts.get("count") if isinstance(accounts, Mapping) else 1
    return count if isinstance(count, int) else 1


def _read(found: Fields) -> Replica:
    return Replica(
        found.text("node"),
        found.whole("partitions"),
        found.whole("records"),
        found.number("seconds"),
        found.whole("held"),
        tuple(map(read_measured, found.each("measured"))),
        read_environment(found.inner("environment")),
    )


def together(replicas: Sequence[Replica]) -> tuple[Measured, ...]:
    """Of every phase and device the most of any replica, level by level: a plan is of one. Seconds add up, as
    if one had done it all; those of loading, which each did, are the longest."""
    found: dict[tuple[str, str], Measured] = {}
    for now in (each for replica in replicas for each in replica.measured):
        key = now.phase, now.device
        found[key] = _most(found[key], now) if key in found else now
    return tuple(found.values())


def _most(one: Measured, other: Measured) -> Measured:
    names = dict.fromkeys((*one.components, *other.components))
    components = {name: max(one.components.get(name, 0), other.components.get(name, 0)) for name in names}
    loads = one.activity == "load"
    seconds = max(one.seconds, other.seconds) if loads else one.seconds + other.seconds
    return replace(
        one,
        live=_larger(one.live, other.live),
        reserved=_larger(one.reserved, other.reserved),
        process=_larger(one.process, other.process),
        on_device=_larger(one.on_device, other.on_device),
        components=components,
        seconds=seconds,
    )


def _larger(one: int | None, other: int | None) -> int | None:
    return max((each for each in (one, other) if each is not None), default=None)


def record_of_all(record: Record) -> Record:
    """The record with what its replicas measured, where most examples were done."""
    replicas = list(replicas_in(record.outcome).values())
    if not replicas:
        return record
    most = max(_alike(replicas), key=lambda alike: sum(each.records for each in alike))
    return replace(record, measured=together(replicas), environment=most[0].environment)


def records_of_each_kind(record: Record) -> Iterator[tuple[Record, int]]:
    """A record of the replicas of each kind of machine, and the bytes that one of them held before any model
    at most: what evidence keeps apart."""
    for alike in _alike(replicas_in(record.outcome).values()):
        examples = sum(each.records for each in alike)
        where = alike[0].environment
        outcome = {**record.outcome, PARTITIONS: {"count": sum(each.partitions for each in alike)}}
        own = replace(record, environment=where, measured=together(alike), examples=examples, outcome=outcome)
        yield own, max(each.held for each in alike)


def share_a_machine(outcome: Mapping[str, object]) -> bool:
    """Whether several replicas were on one machine: where its processor computes, each waits for the others,
    and their times are of no run that has it to itself."""
    nodes = [each.node for each in replicas_in(outcome).values()]
    return len(set(nodes)) < len(nodes)


def said_of_machines(outcome: Mapping[str, object]) -> tuple[str, ...]:
    """A line for each node that was left out, and one where replicas computed on machines of several kinds:
    results are equal to rounding alone."""
    partitions = Fields(outcome, "the record's outcome").inner(PARTITIONS)
    lines = partitions.array(LEFT_OUT) if LEFT_OUT in partitions else ()
    left_out = (f"left out: {line}" for line in lines)
    kinds = {
        f"{each.environment.gpu} (torch {each.environment.torch})" for each in replicas_in(outcome).values()
    }
    done_on = (f"done on {', '.join(sorted(kinds))}: what one would have found, the others find to rounding",)
    return (*left_out, *(done_on if len(kinds) > 1 else ()))


def _alike(replicas: Iterable[Replica]) -> list[list[Replica]]:
    found: dict[object, list[Replica]] = {}
    for each in replicas:
        found.setdefault(key_of(each.environment), []).append(each)
    return list(found.values())
