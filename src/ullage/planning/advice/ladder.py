"""Batches of one role or of several together: how large it is worth to make them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from ullage.planning.advice.step import Axis, Step, with_step, without
from ullage.planning.advice.trials import Candidate, Trials

WORTH: Final = 0.01
"""Share of the time that a change must save to be made."""


def climb(trials: Trials, at: Candidate, ladders: Sequence[Axis]) -> Candidate:
    """With batches of all these as large as fit, found from what two sizes leave of the fullest card; a
    larger one that saves no time is not taken."""
    sizes = _above(at, ladders)
    first = _taken(trials, at, ladders, sizes[0]) if sizes else at
    if first is at:
        return at
    best, fits, beyond = first, 0, len(sizes)
    place = _between(at, sizes[0] // 2, first, sizes[0], sizes)
    while fits + 1 < beyond and not trials.over:
        place = place if fits < place < beyond else (fits + beyond) // 2
        then = trials.plan(at.gpus, sized(best.steps, ladders, sizes[place]))
        if then.fits and then.is_faster(best, WORTH):
            best, fits, place = then, place, place + 1
        else:
            beyond = place
            place = _between(best, sizes[fits], then, sizes[beyond], sizes)
    return best


def _taken(trials: Trials, at: Candidate, ladders: Sequence[Axis], size: int) -> Candidate:
    """With batches of that size, where that fits and saves time."""
    then = trials.plan(at.gpus, sized(at.steps, ladders, size))
    return then if then.fits and then.is_faster(at, WORTH) else at


def sized(steps: tuple[Step, ...], ladders: Iterable[Axis], size: int) -> tuple[Step, ...]:
    """With the largest batch of each ladder that is no larger than `size`, and none smaller than it is."""
    for ladder in ladders:
        fitting = [each for each in _sizes(ladder) if _size_in(steps, ladder) < each <= size]
        steps = _with(steps, ladder, fitting[-1]) if fitting else steps
    return steps


def _above(at: Candidate, ladders: Sequence[Axis]) -> list[int]:
    """The sizes that make a batch of these larger."""
    now = {ladder.name: _size_in(at.steps, ladder) for ladder in ladders}
    return sorted({size for ladder in ladders for size in _sizes(ladder) if size > now[ladder.name]})


def above_all(at: Candidate, ladders: Sequence[Axis]) -> list[int]:
    """The sizes above the largest that any of these has."""
    most = max(_size_in(at.steps, ladder) for ladder in ladders)
    return [size for size in _above(at, ladders) if size > most]


def times_larger(steps: tuple[Step, ...], ladders: Iterable[Axis]) -> float:
    """How many times larger than it is with these steps a batch can be made, of the one that most can."""
    return max((_sizes(each)[-1] / max(_size_in(steps, each), 1) for each in ladders), default=1.0)


def smallest(steps: tuple[Step, ...], ladders: Iterable[Axis]) -> tuple[Step, ...]:
    """With the smallest batch of each ladder."""
    for ladder in ladders:
        steps = _with(steps, ladder, _sizes(ladder)[0])
    return steps


def _with(steps: tuple[Step, ...], ladder: Axis, size: int) -> tuple[Step, ...]:
    own = next((step for step in ladder.steps if step.key == str(size)), None)
    return without(steps, ladder.name) if own is None else with_step(steps, own)


def _sizes(ladder: Axis) -> list[int]:
    """All that it has, ascending: those of its steps, and that without a step."""
    return sorted({ladder.unchanged, *(int(step.key) for step in ladder.steps)})


def _size_in(steps: tuple[Step, ...], ladder: Axis) -> int:
    own = next((step for step in steps if step.axis == ladder.name), None)
    return ladder.unchanged if own is None else int(own.key)


def _between(one: Candidate, size: int, other: Candidate, larger: int, sizes: list[int]) -> int:
    """The place of the last size that leaves something on the fullest card, if each sequence takes as much as
    between two sizes; -1 where that is none."""
    taken = max(one.outcome.left - other.outcome.left, 1) / max(larger - size, 1)
    most = larger + other.outcome.left / taken
    return sum(size <= most for size in sizes) - 1
