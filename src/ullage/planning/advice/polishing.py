"""The last look at what is best: each single change beside it, of the roles that take most time first."""

from __future__ import annotations

from collections.abc import Iterator

from ullage.facts.gpu import GpuSet
from ullage.planning.advice.elsewhere import Axes
from ullage.planning.advice.ladder import WORTH
from ullage.planning.advice.step import Axis, Step, with_step, without
from ullage.planning.advice.trials import Candidate, Trials


def polished(trials: Trials, gpus: GpuSet, axes: Axes) -> None:
    """Of the cheapest without loss and with any, on all cards and on the own: what is faster by one change,
    and from there on by others, until none is or the limit is reached."""
    best = trials.best
    for each in (best.lossy, best.cheapest, best.on(gpus)):
        if each is not None:
            at, then = None, each
            while then is not at and not trials.over:
                at, then = then, _by_one(trials, then, axes(each.gpus))


def _by_one(trials: Trials, at: Candidate, axes: tuple[Axis, ...]) -> Candidate:
    """With each change that makes it faster, one after the other; where it loses nothing that stays so."""
    whole = [axis for axis in axes if axis.family != "less"]
    for axis in sorted(whole, key=lambda axis: -_seconds(at, axis)):
        for steps in _beside(at, axis):
            if trials.over:
                return at
            if not trials.allows(steps) or (at.loss == 0 and any(step.loss for step in steps)):
                continue
            then = trials.plan(at.gpus, steps)
            if then.fits and then.is_faster(at, WORTH):
                at = then
    return at


def _seconds(at: Candidate, axis: Axis) -> float:
    """What a change of it can save at most."""
    return at.seconds_of(axis.role) if axis.role else at.seconds


def _beside(at: Candidate, axis: Axis) -> Iterator[tuple[Step, ...]]:
    """The settings that differ in this axis; of batches the next ones."""
    taken = next((place for place, step in enumerate(axis.steps) if step in at.steps), None)
    if axis.ladder:
        size = axis.unchanged if taken is None else int(axis.steps[taken].key)
        for step in axis.steps:
            if size < int(step.key) <= 2 * size:
                yield with_step(at.steps, step)
        return
    if taken is not None:
        yield without(at.steps, axis.name)
    for step in axis.steps:
        if step not in at.steps and (steps := with_step(at.steps, step)) != at.steps:
            yield steps
