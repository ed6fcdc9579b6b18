"""What one request asks of a workload's roles, as its kind lays it out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ullage.facts.architecture import Model
    from ullage.facts.gpu import GpuSet
    from ullage.phases.way import Way
    from ullage.planning.stage_times import Laid
    from ullage.spec.workload import Workload


def asked_ways(workload: Workload, models: Mapping[str, Model], gpus: GpuSet) -> tuple[Laid, Laid] | None:
    """The ways of one request by itself, and those of the planned batches, with what they need; None where
    the kind lays out none."""
    from ullage.phases.blocks import one_by_one
    from ullage.workloads import single_model
    from ullage.workloads.registry import find_kind

    if workload.kind == single_model.name:
        return None
    kind = find_kind(workload.kind)
    if not kind.request_ways(workload):
        return None
    alone, together = (
        _laid(kind.request_ways(each), models, gpus) for each in (one_by_one(workload), workload)
    )
    return alone, together


def _laid(ways: tuple[Way, ...], models: Mapping[str, Model], gpus: GpuSet) -> Laid:
    from ullage.memory.estimate import estimate
    from ullage.planning.stage_times import Laid

    phases = [phase for way in ways for stage in way.stages for phase in stage.phases]
    return Laid(ways, estimate(phases, models, gpus.abilities))
