"""One copy of a workload on some of a machine's cards: what its plan says of a record and of a partition."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Final

from ullage.facts.gpu import GpuSet
from ullage.phases.phase import Phase
from ullage.planning.cluster.sharing import replicas_of_a_card, shared
from ullage.planning.device import HOST
from ullage.planning.phase_time import PhaseTime, sum_times
from ullage.planning.plan import Plan
from ullage.planning.storage import COPY, TOKEN_BYTES, texts, written
from ullage.planning.verdict import Verdict
from ullage.units import NO_TIME, ZERO, Estimate, Interval, total

HANDLING: Final = Estimate(0.01, 0.03, 2.0)
"""Seconds that a partition takes beside its records: handed out, written, renamed, told of. 0.03 were
measured on one machine's disk (benchmarks/cluster_scaling.py); a store that nodes share may take more."""
OPENING: Final = Estimate(3.0, 10.0, 60.0)
"""Seconds until the process of a replica can begin to load, torch and the engine imported: assumed. One to
eight at once took 5 to 20 on two processors (benchmarks/cluster_scaling.py)."""


@dataclass(frozen=True, slots=True)
class Replica:
    """`sharing` of them are on one card. `record`: seconds of one in the steady state, the others at work,
    None where a phase's are not known; `each_partition` beside its records, with `swaps`, loading models
    that do not stay; `at_start` once; `batch` records fill every pass.
    `peak` is of its fullest card, `host` of host memory; `weights` are the bytes of its checkpoints, `copied`
    those of inputs in a store, of which a machine has all; `read` and `written` bytes of one record, `read`
    from what machines share: nothing of an input that was copied."""

    gpus: GpuSet
    sharing: int
    verdict: Verdict
    peak: Interval
    host: Interval
    record: Estimate | None
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
        return self.record is not None


def replica_of(plan: Plan) -> Replica:
    """What a plan on some cards says of a copy that does partition after partition."""
    examples = max(plan.workload.examples, 1)
    pairs = list(_timed(plan))
    swapped = [] if plan.workload.partition is None else [p for p in pairs if _swaps(p[0])]
    pairs = [pair for pair in pairs if pair not in swapped]
    steady = sum_times(time for phase, time in pairs if not phase.once)
    loads = sum_times(time for phase, time in pairs if phase.once and phase.activity == "load")
    others = sum_times(time for phase, time in pairs if phase.once and phase.activity != "load")
    swaps = sum((time.seconds or NO_TIME for _, time in swapped), NO_TIME)
    known = steady is not None and loads is not None and others is not None
    known &= len(pairs) + len(swapped) == len(plan.times)
    known &= all(time.seconds is not None for _, time in swapped)
    loads, others = loads or NO_TIME, others or NO_TIME
    if plan.workload.partition is None and set(plan.staying()) != set(plan.roles):
        swaps = loads  # no kind of work that is done in partitions: as if each were a run of its own
    cards = [device.peak.device for device in plan.devices if device.name.startswith(("gpu:", "cpu"))]
    text_read, text_written = texts(plan)
    copies = [each for each in plan.stored if each.what.startswith(COPY)]
    states = written(plan)
    sharing = replicas_of_a_card(plan)
    return Replica(
        plan.gpus,
        sharing,
        plan.verdict,
        max(cards, key=lambda peak: peak.high, default=ZERO),
        next((device.peak.device for device in plan.devices if device.name == HOST), ZERO),
        shared(steady * (1 / examples), plan, sharing) if known and steady is not None else None,
        swaps,
        HANDLING + others + swaps,
        OPENING + loads,
        _batch(pairs),
        sum(each.bytes.expected for each in plan.stored if not each.each and each not in copies),
        total(each.bytes for each in copies),
        NO_TIME if copies else TOKEN_BYTES * text_read,
        TOKEN_BYTES * text_written + Estimate(*(size / examples for size in states)),
    )


def _swaps(phase: Phase) -> bool:
    """Whether it loads a model anew in each partition."""
    return phase.activity == "load" and not phase.once


def _timed(plan: Plan) -> Iterator[tuple[Phase, PhaseTime]]:
    times = {time.phase: time for time in plan.times}
    return ((phase, times[phase.name]) for phase in plan.phases if phase.name in times)


def _batch(pairs: Sequence[tuple[Phase, PhaseTime]]) -> int:
    """Records that fill a pass of the phase which takes longest."""
    steady = [(time.total_seconds, phase.work.passes) for phase, time in pairs if not phase.once]
    took = [(seconds.expected, passes) for seconds, passes in steady if seconds is not None and passes]
    return ceil(1 / max(took)[1]) if took else 1
