"""How long a phase took in one run, the line of JSON that keeps it, and what later plans take from it."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Final

from ullage.errors import FormatError
from ullage.fields import Fields
from ullage.planning.measured_time import Manner, MeasuredTime, doing, manner
from ullage.planning.plan import Plan
from ullage.records.observation import Key, key_of, read_key
from ullage.records.record import Record
from ullage.records.replica import partitions_of
from ullage.units import Estimate

RISK: Final = 10
"""At either end one run in so many may lie outside what was measured before."""
ENOUGH: Final = RISK - 1
"""Runs from which the interval reaches from one of them to another."""
ROOM_FEW: Final = 2.0
"""Factor below the fastest and above the slowest run while there are fewer: five runs of one example on a
machine that others used too lay within 1.7."""
ROOM: Final = 1.25
"""The same factor from then on."""
RULE: Final = (
    f"times: a phase done in the same manner takes from its fastest run / {ROOM_FEW:g} to its slowest "
    f"x {ROOM_FEW:g}, and from {ENOUGH} runs on from one run / {ROOM:g} to another x {ROOM:g}, past either "
    f"of which the next lies one time in {RISK}"
)
LONGEST: Final = 1e9
"""Seconds that no phase took, and the most passes."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds that `passes` passes of what a role does took in a run, whatever else was done in between.

    `software` is Ullage and what quantizes, with their versions; `gpus` the cards by their set's name,
    `workload` the shape of what ran without its sizes (`shape_of`), `phase` what was done (`doing`), `manner`
    how, with the sizes of that; `date` (UTC) and the name of the run's folder say which run.
    """

    key: Key
    software: str
    gpus: str
    workload: str
    phase: str
    manner: str
    seconds: float
    passes: float
    date: str
    run: str


FIELDS: Final = len(fields(Key)) + len(fields(Timing)) - 1
"""Fields of a line: those of a timing, with its key's in place of the key."""


def timings_of(
    record: Record, plan: Plan, workload: str, run: str, date: str, packages: Mapping[str, str]
) -> tuple[Timing, ...]:
    """What a run says of the phases of its plan that it went through.

    Nothing where memory ran out and batches were split, or of a run that was resumed, of roles that another
    process runs, and of phases that were not entered. What is done once was done in each partition. Phases in
    which a role does the same beside others count together. `packages` are the versions of what quantizes, by
    role.
    """
    if record.splits or record.resumed or not record.examples:
        return ()
    parts = partitions_of(record)
    took: dict[str, float] = {}
    for measured in record.measured:
        took[measured.phase] = max(took.get(measured.phase, 0.0), measured.seconds)
    pooled: dict[tuple[str, str, str], list[float]] = {}
    for phase in plan.phases:
        role = plan.roles.get(phase.running)
        if role is None or plan.workload.roles[phase.running].runs_with.memory != "process":
            continue
        made = role.precision
        done = manner(phase.work, made.storage, made.compute, role.kernel.name, role.placement.where)
        sums = pooled.setdefault((phase.running, doing(phase), done), [0.0, 0.0])
        sums[0] += took.get(phase.name, 0.0)
        times = parts if phase.once and phase.activity != "load" else 1
        sums[1] += phase.passes_of(record.examples) * times
    key, version = key_of(record.environment), f"ullage {record.environment.ullage}"
    found = []
    for (name, what, how), (seconds, passes) in pooled.items():
        software = ", ".join(filter(None, (version, packages.get(name))))
        if 0 < seconds < LONGEST and 0 < passes < LONGEST:
            where = plan.gpus.name
            found.append(Timing(key, software, where, workload, what, how, seconds, passes, date, run))
    return tuple(found)


def times_of(
    timings: Iterable[Timing], key: Key, gpus: str, workload: str, ullage: str
) -> dict[Manner, MeasuredTime]:
    """What plans of `workload` on `gpus` take from runs under `key`: of each phase, by its manner, the runs
    of this version of Ullage, and of what quantizes those of the version that ran last."""
    here: dict[Manner, list[Timing]] = {}
    for each in timings:
        same = (each.key, each.gpus, each.workload) == (key, gpus, workload)
        if same and each.software.split(",")[0] == f"ullage {ullage}":
            here.setdefault((each.phase, each.manner), []).append(each)
    return {done: _time(of_phase) for done, of_phase in here.items()}


@dataclass(frozen=True, slots=True)
class LearnedTime:
    """What plans take of a phase from the runs of one kind under one key, one pass."""

    key: Key
    gpus: str
    workload: str
    phase: str
    manner: str
    time: MeasuredTime


def learned_times(timings: Sequence[Timing], ullage: str) -> tuple[LearnedTime, ...]:
    """All that plans by this version of Ullage take from `timings`."""
    kinds = dict.fromkeys((each.key, each.gpus, each.workload) for each in timings)
    return tuple(
        LearnedTime(key, gpus, workload, phase, done, time)
        for key, gpus, workload in kinds
        for (phase, done), time in times_of(timings, key, gpus, workload, ullage).items()
    )


def _time(timings: Sequence[Timing]) -> MeasuredTime:
    software = timings[-1].software
    own = [each for each in timings if each.software == software]
    runs = f"{len(own)} run{'' if len(own) == 1 else 's'}"
    source = f"{runs} of this workload measured here on {own[-1].key}, {software}"
    return MeasuredTime(interval_of([each.seconds / each.passes for each in own]), source)


def interval_of(seconds: Sequence[float]) -> Estimate:
    """From what runs took: as `Evidence.overhead` counts runs, with the room of `RULE`."""
    ordered = sorted(seconds)
    expected = statistics.median(ordered)
    if len(ordered) < ENOUGH:
        return Estimate(ordered[0] / ROOM_FEW, expected, ordered[-1] * ROOM_FEW)
    passed_over = (len(ordered) + 1) // RISK - 1
    return Estimate(ordered[passed_over] / ROOM, expected, ordered[-1 - passed_over] * ROOM)


def timing_line(timing: Timing) -> str:
    """As a line of JSON."""
    said = asdict(timing)
    return json.dumps({**said.pop("key"), **said}, ensure_ascii=False)


def read_timing(found: Mapping[str, object]) -> Timing | str:
    """The timing in a line's object, or why it is none."""
    if len(found) != FIELDS:
        return "no observation"
    told = Fields(found, "evidence")
    try:
        read = Timing(
            read_key(told),
            told.text("software"),
            told.text("gpus"),
            told.text("workload"),
            told.text("phase"),
            told.text("manner"),
            told.number("seconds"),
            told.number("passes"),
            told.text("date"),
            told.text("run"),
        )
    except FormatError:
        return "no observation"
    sizes = (read.seconds, read.passes)
    possible = read.key.threads > 0 and all(math.isfinite(size) and 0 < size < LONGEST for size in sizes)
    return read if possible else "a time that cannot be"
