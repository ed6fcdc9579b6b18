"""The seconds of a request's stages, by what their phases need and where their roles are."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from ullage.memory.demand import Demand
from ullage.phases.phase import Phase
from ullage.phases.way import Stage, Way
from ullage.planning.device import Device
from ullage.planning.latency import Latency, StageTime, WayTime, total_of
from ullage.planning.passes import expected_seconds
from ullage.planning.placement import Placement
from ullage.planning.throughput import tasks


class Laid(NamedTuple):
    """Ways of a request, and what all their phases need, in their order."""

    ways: tuple[Way, ...]
    demand: Demand


def latency(alone: Laid, together: Laid, placement: Placement, devices: tuple[Device, ...]) -> Latency:
    """Times of ways that are laid out for one request by itself, and for the planned batches."""
    one, many, cold = (_Seconds(laid, placement, devices) for laid in (alone, together, _cold(alone)))
    ways = []
    for way, batched in zip(alone.ways, together.ways, strict=True):
        stages = []
        for stage, own in zip(way.stages, batched.stages, strict=True):
            batch = max((phase.work.batch for phase in own.phases), default=1)
            times = one.of(stage), one.known(stage), cold.of(stage)
            stages.append(StageTime(stage.name, stage.role, *times, stage.away, batch, many.of(own)))
        ways.append(WayTime(way.name, tuple(stages)))
    return Latency(tuple(ways))


def _cold(laid: Laid) -> Laid:
    """The same where nobody waits in host memory yet."""
    phases = tuple(phase._replace(once=True) for phase in laid.demand.phases)
    return Laid(laid.ways, replace(laid.demand, phases=phases))


class _Seconds:
    """Seconds of one pass of each phase, as it was laid out."""

    def __init__(self, laid: Laid, placement: Placement, devices: tuple[Device, ...]) -> None:
        every = [phase for way in laid.ways for stage in way.stages for phase in stage.phases]
        found = tasks(laid.demand, placement, devices)
        seconds = [None if task is None else expected_seconds(task) for task in found]
        self._known = dict(zip(map(id, every), seconds, strict=True))

    def of(self, stage: Stage) -> float | None:
        """None too for what another machine does."""
        return total_of(map(self._of, stage.phases)) if stage.phases else None

    def known(self, stage: Stage) -> float:
        """Of those of its phases whose time is known."""
        return sum(self._of(phase) or 0.0 for phase in stage.phases)

    def _of(self, phase: Phase) -> float | None:
        one = self._known[id(phase)]
        return None if one is None else one * phase.work.passes
