"""Everything that can be changed of a workload on given cards, but the cards."""

from __future__ import annotations

from collections.abc import Iterator

from ullage.planning.advice.kept import Kept
from ullage.planning.advice.measured import Losses
from ullage.planning.advice.role_axes import Ground, role_axes
from ullage.planning.advice.step import Axis
from ullage.planning.advice.training_axes import training_axes
from ullage.planning.advice.work_axes import work_axes
from ullage.spec.workload import Workload


def axes_of(workload: Workload, ground: Ground, kept: Kept, losses: Losses) -> tuple[Axis, ...]:
    """Those with a step that `kept` allows."""
    found = []
    for axis in _all(workload, ground, losses):
        lean, steps = axis.leanest, tuple(step for step in axis.steps if kept.allows(step.changes))
        if steps:
            place = None if lean is None else len(steps) - 1 if lean not in steps else steps.index(lean)
            found.append(axis._replace(steps=steps, lean=place))
    return tuple(found)


def _all(workload: Workload, ground: Ground, losses: Losses) -> Iterator[Axis]:
    for name, role in workload.roles.items():
        if role.runs_with.local:
            yield from role_axes(name, workload, ground, losses)
    if workload.training is not None:
        yield from training_axes(workload, workload.training)
    yield from work_axes(workload)
