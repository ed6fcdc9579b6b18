"""Ladders of batch sizes: how far up one, or several of which each step is that of each, is worth going."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from ullage.planning.advice.step import Axis, Step, with_step
from ullage.planning.advice.trials import Candidate, Trials

ALL: Final = "all batches"
WORTH: Final = 0.01
"""Share of the time that a change must save to be made."""


def as_one(ladders: list[Axis]) -> Axis:
    """One ladder whose every step is that of each of them; smaller ones end below."""
    least = min(axis.unchanged for axis in ladders)
    sizes = sorted({_size(step) for axis in ladders for step in axis.steps if _size(step) > least})
    steps = tuple(Step(ALL, str(size), (), 0.0, "") for size in sizes)
    return Axis(ALL, "same", steps, ladder=True, unchanged=least, parts=tuple(ladders))


def climb(trials: Trials, at: Candidate, axis: Axis) -> Candidate:
    """The largest of a ladder that fits, found from what two of them leave of the fullest card; a larger
    batch that saves no time is not taken."""
    higher = _above(at, axis)
    first = _taken(trials, at, axis, higher[0]) if higher else at
    if first is at:
        return at
    best, fits, beyond = first, 0, len(higher)
    place = _between(at, _size(higher[0]) // 2, first, _size(higher[0]), higher)
    while fits + 1 < beyond and not trials.over:
        place = place if fits < place < beyond else (fits + beyond) // 2
        then = trials.plan(at.gpus, sized(best.steps, axis, higher[place]))
        if then.fits and then.is_faster(best, WORTH):
            best, fits, place = then, place, place + 1
        else:
            beyond = place
            place = _between(best, _size(higher[fits]), then, _size(higher[beyond]), higher)
    return best


def _taken(trials: Trials, at: Candidate, axis: Axis, step: Step) -> Candidate:
    """With the step, where that fits and saves time."""
    then = trials.plan(at.gpus, sized(at.steps, axis, step))
    return then if then.fits and then.is_faster(at, WORTH) else at


def sized(steps: tuple[Step, ...], axis: Axis, step: Step) -> tuple[Step, ...]:
    """With the step where it is larger; of a ladder of several, with that of each which is no larger."""
    for part in axis.parts or (axis,):
        now = _size_in(steps, part)
        fitting = [each for each in part.steps if now < _size(each) <= _size(step)]
        steps = with_step(steps, fitting[-1]) if fitting else steps
    return steps


def _above(at: Candidate, axis: Axis) -> list[Step]:
    """What makes a batch larger than it is."""
    return [step for step in axis.steps if sized(at.steps, axis, step) != at.steps]


def above_all(at: Candidate, alike: list[Axis]) -> list[Step]:
    """Of a ladder of several, the sizes above the largest that any of them has."""
    most = max(_size_in(at.steps, axis) for axis in alike)
    return [step for step in as_one(alike).steps if _size(step) > most]


def smallest(steps: tuple[Step, ...], axes: Iterable[Axis]) -> tuple[Step, ...]:
    """With the smallest batch of every ladder among these axes."""
    for axis in axes:
        if axis.ladder and _size_in(steps, axis) > _size(axis.steps[0]):
            steps = with_step(steps, axis.steps[0])
    return steps


def _size_in(steps: tuple[Step, ...], axis: Axis) -> int:
    own = next((step for step in steps if step.axis == axis.name), None)
    return axis.unchanged if own is None else _size(own)


def _size(step: Step) -> int:
    return int(step.key)


def _between(one: Candidate, size: int, other: Candidate, larger: int, ladder: list[Step]) -> int:
    """The place of the last step of a ladder that leaves something on the fullest card, if each sequence
    takes as much as between two sizes; -1 where that is none."""
    taken = max(one.outcome.left - other.outcome.left, 1) / max(larger - size, 1)
    most = larger + other.outcome.left / taken
    return sum(_size(step) <= most for step in ladder) - 1
