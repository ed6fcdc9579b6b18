"""One copy of a workload on some of a machine's cards: what its plan says of a record and of a partition."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from ullage.facts.gpu import GpuSet
from ullage.phases.phase import Phase
from ullage.planning.cluster.passes import Passes
from ullage.planning.cluster.sharing import replicas_of_a_card, shared
from ullage.planning.device import HOST
from ullage.planning.phase_time import PhaseTime, sum_times
from ullage.planning.plan import Plan
from ullage.planning.storage import COPY, TOKEN_BYTES, texts, written
from ullage.planning.verdict import Verdict
from ullage.units import NO_TIME, ZERO, Estimate, Interval, total

ROW_BYTES: Final = Estimate(100.0, 250.0, 1000.0)
"""What a record leaves beside what is generated for it: 250 were measured of a pii record with one candidate
(500 of `ullage sample verify`), elsewhere it is assumed."""
HANDLING: Final = Estimate(0.01, 0.03, 2.0)
"""Seconds that a partition takes beside its records: handed out, written, renamed, told of. 0.03 were
measured on one machine's disk (benchmarks/cluster_scaling.py); a store that nodes share may take more."""
OPENING: Final = Estimate(3.0, 10.0, 60.0)
"""Seconds until the process of a replica can begin to load, torch and the engine imported: assumed. One to
eight at once took 5 to 20 on two processors (benchmarks/cluster_scaling.py)."""


@dataclass(frozen=True, slots=True)
class Replica:
    """`sharing` of them are on one card. `passes` are those of its records, each with its seconds while the
    others are at work, None where a phase's are not known; `each_partition` are seconds beside its records,
    with `swaps`, loading models that do not stay; `at_start` once; `batch` records fill the longest passes.
    `peak` is of its fullest card, `host` of host memory; `weights` are the bytes of its checkpoints, `copied`
    those of an input in a store, of which a machine has all; `read` and `written` bytes of one record."""

    gpus: GpuSet
    sharing: int
    verdict: Verdict
    peak: Interval
    host: Interval
    passes: tuple[Passes, ...] | None
    swaps: Estimate
    each_partition: Estimate
    at_start: Estimate
    batch: int
    weights: int
    copied: Interval
    read: Estimate
    written: Estimate

    @property
    def known(self) -> bool:
        """Whether it is known how long it takes."""
        return self.passes is not None

    @property
    def streamed(self) -> Estimate:
        """Bytes of a record that come while it works from what machines share: none of an input that was
        copied."""
        return NO_TIME if self.copied.high else self.read

    @property
    def record(self) -> Estimate | None:
        """Seconds of one in the steady state, every batch full; None where they are not known."""
        if self.passes is None:
            return None
        return sum((each.seconds_of_a_record for each in self.passes), NO_TIME)


def replica_of(plan: Plan) -> Replica:
    """What a plan on some cards says of a copy that does partition after partition."""
    examples = max(plan.workload.examples, 1)
    pairs = list(_timed(plan))
    swapped = [] if plan.workload.partition is None else [p for p in pairs if _swaps(p[0])]
    pairs = [pair for pair in pairs if pair not in swapped]
    sharing = replicas_of_a_card(plan)
    steady = [_passes(phase, time, plan, sharing) for phase, time in pairs if not phase.once]
    passes = tuple(each for each in steady if each is not None)
    loads = sum_times(time for phase, time in pairs if phase.once and phase.activity == "load")
    others = sum_times(time for phase, time in pairs if phase.once and phase.activity != "load")
    swaps = sum((time.seconds or NO_TIME for _, time in swapped), NO_TIME)
    known = len(passes) == len(steady) and loads is not None and others is not None
    known &= len(pairs) + len(swapped) == len(plan.times)
    known &= all(time.seconds is not None for _, time in swapped)
    loads, others = loads or NO_TIME, others or NO_TIME
    if plan.workload.partition is None and set(plan.staying()) != set(plan.roles):
        swaps = loads  # no kind of work that is done in partitions: as if each were a run of its own
    cards = [device.peak.device for device in plan.devices if device.name.startswith(("gpu:", "cpu"))]
    text_read, text_written = texts(plan)
    copies = [each for each in plan.stored if each.what.startswith(COPY)]
    states = written(plan)
    return Replica(
        plan.gpus,
        sharing,
        plan.verdict,
        max(cards, key=lambda peak: peak.high, default=ZERO),
        next((device.peak.device for device in plan.devices if device.name == HOST), ZERO),
        passes if known else None,
        swaps,
        HANDLING + others + swaps,
        OPENING + loads,
        _batch(passes),
        sum(each.bytes.expected for each in plan.stored if not each.each and each not in copies),
        total(each.bytes for each in copies),
        TOKEN_BYTES * text_read,
        ROW_BYTES + TOKEN_BYTES * text_written + Estimate(*(size / examples for size in states)),
    )


def _swaps(phase: Phase) -> bool:
    """Whether it loads a model anew in each partition."""
    return phase.activity == "load" and not phase.once


def _timed(plan: Plan) -> Iterator[tuple[Phase, PhaseTime]]:
    times = {time.phase: time for time in plan.times}
    return ((phase, times[phase.name]) for phase in plan.phases if phase.name in times)


def _passes(phase: Phase, time: PhaseTime, plan: Plan, sharing: int) -> Passes | None:
    """None where nobody knows how long one takes."""
    if time.seconds is None:
        return None
    work = phase.work
    return Passes(work.passes * work.batch, work.batch, shared(time.seconds, plan, sharing))


def _batch(passes: Sequence[Passes]) -> int:
    """Records that fill a pass of the phase which takes longest, of those that all records are in."""
    took = [(each.seconds_of_a_record.expected, each) for each in passes if each.certain and each.sequences]
    if not took:
        return 1
    longest = max(took, key=lambda each: each[0])[1]
    return max(round(longest.batch / longest.sequences), 1)
