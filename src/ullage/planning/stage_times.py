"""The seconds of a request's stages, by what their phases need and where their roles are."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from ullage.memory.demand import Demand
from ullage.phases.phase import Phase
from ullage.phases.way import Stage, Way
from ullage.planning.device import Device
from ullage.planning.latency import Latency, StageTime, WayTime, total_of
from ullage.planning.measured_time import NO_TIMES, MeasuredTimes
from ullage.planning.passes import pass_time
from ullage.planning.placement import Placement
from ullage.planning.throughput import passes, past_time
from ullage.units import NO_TIME, Estimate


class Laid(NamedTuple):
    """Ways of a request, and what all their phases need, in their order."""

    ways: tuple[Way, ...]
    demand: Demand


def latency(
    alone: Laid,
    together: Laid,
    placement: Placement,
    devices: tuple[Device, ...],
    measured: MeasuredTimes = NO_TIMES,
) -> Latency:
    """Times of ways that are laid out for one request by itself, and for the planned batches: as past runs
    `measured` them where these did the same, else by what the cards can do."""
    one, many, cold = (
        _Seconds(laid, placement, devices, measured) for laid in (alone, together, _cold(alone))
    )
    ways = []
    for way, batched in zip(alone.ways, together.ways, strict=True):
        stages = []
        for stage, own in zip(way.stages, batched.stages, strict=True):
            batch = max((phase.work.batch for phase in own.phases), default=1)
            times = one.of(stage), one.known(stage), cold.of(stage)
            share = many.of(own)
            stages.append(StageTime(stage.name, stage.role, *times, stage.away, batch, share, stage.again))
        ways.append(WayTime(way.name, tuple(stages)))
    return Latency(tuple(ways))


def _cold(laid: Laid) -> Laid:
    """The same where nobody waits in host memory yet."""
    phases = tuple(phase._replace(once=True) for phase in laid.demand.phases)
    return Laid(laid.ways, replace(laid.demand, phases=phases))


class _Seconds:
    """Seconds of one pass of each phase, as it was laid out."""

    def __init__(
        self, laid: Laid, placement: Placement, devices: tuple[Device, ...], measured: MeasuredTimes
    ) -> None:
        every = [phase for way in laid.ways for stage in way.stages for phase in stage.phases]
        found: dict[int, Estimate | None] = {}
        for phase, done in zip(every, passes(laid.demand, placement, devices), strict=True):
            past = None if done is None else past_time(phase, done[0], measured, placement, devices)
            timed = None if done is None or past is not None else pass_time(*done)
            found[id(phase)] = past.seconds if past is not None else None if timed is None else timed[0]
        self._known = found

    def of(self, stage: Stage) -> Estimate | None:
        """None too for what another machine does."""
        return total_of(map(self._of, stage.phases)) if stage.phases else None

    def known(self, stage: Stage) -> Estimate:
        """Of those of its phases whose time is known."""
        return sum((self._of(phase) or NO_TIME for phase in stage.phases), NO_TIME)

    def _of(self, phase: Phase) -> Estimate | None:
        one = self._known[id(phase)]
        return None if one is None else one * phase.work.passes
