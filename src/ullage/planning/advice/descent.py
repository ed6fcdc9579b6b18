"""Two ways from one candidate to a better one on the same cards: what it fits without, and what is faster."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from ullage.planning.advice.step import Axis, Step, with_step, without
from ullage.planning.advice.trials import Candidate, Trials

WORTH: Final = 0.01
"""Share of the time that a change must save to be made."""


def leanest(trials: Trials, base: Candidate, axes: tuple[Axis, ...]) -> Candidate:
    """With the step of each axis that takes least memory: where that does not fit, nothing of these axes does,
    so that no more of them need be planned. Steps that are refused are left out."""
    steps = [axis.leanest for axis in axes if axis.leanest is not None]
    at = _with(trials, base, steps)
    if at.possible:
        return at
    return _with(trials, base, [step for step in steps if _with(trials, base, [step]).possible])


def _with(trials: Trials, base: Candidate, steps: list[Step]) -> Candidate:
    taken = base.steps
    for step in steps:
        taken = with_step(taken, step)
    return trials.plan(base.gpus, taken)


def relaxed(
    trials: Trials, at: Candidate, axes: tuple[Axis, ...], order: Callable[[Step], float]
) -> Candidate:
    """What fits without some of its steps, or with milder ones of their axes: taken back in `order`, smallest
    first. A harmless step stays where it is slower without."""
    known = {axis.name: axis for axis in axes}
    for step in sorted(at.steps, key=order):
        if trials.over:
            break
        milder = [each for each in known[step.axis].steps if each.loss < step.loss]
        ways = [without(at.steps, step.axis), *(with_step(at.steps, each) for each in milder)]
        for steps in ways:
            then = trials.plan(at.gpus, steps)
            if then.fits and (then.loss < at.loss or then.seconds <= at.seconds * (1 + WORTH)):
                at = then
                break
    return at


def lossy_first(step: Step) -> float:
    """Quality is given back before speed."""
    return -step.loss


def slow_first(step: Step) -> float:
    """Speed is given back before quality."""
    return step.loss


def faster(trials: Trials, at: Candidate, axes: tuple[Axis, ...]) -> Candidate:
    """One axis after the other, the fastest of its steps that fits, until none saves time."""
    better = True
    while better and not trials.over:
        better = False
        for axis in axes:
            if trials.over:
                break
            then = climb(trials, at, axis) if axis.ladder else _fastest(trials, at, axis)
            if then is not at:
                at, better = then, True
    return at


def _fastest(trials: Trials, at: Candidate, axis: Axis) -> Candidate:
    best = at
    taken = any(step.axis == axis.name for step in at.steps)
    ways = [without(at.steps, axis.name)] if taken else []
    for steps in (*ways, *(with_step(at.steps, step) for step in axis.steps)):
        if not trials.over:
            then = trials.plan(at.gpus, steps)
            if then.fits and then.seconds < best.seconds * (1 - WORTH):
                best = then
    return best


def climb(trials: Trials, at: Candidate, axis: Axis) -> Candidate:
    """The largest of a ladder that fits, found from what two of them leave of the fullest card; a larger
    batch that saves no time is not taken."""
    higher = _above(at, axis)
    first = _taken(trials, at, higher[0]) if higher else at
    if first is at:
        return at
    best, place = first, _predicted(at, first, higher)
    for step in higher[place:0:-1]:
        then = trials.plan(at.gpus, with_step(at.steps, step))
        if then.fits or trials.over:
            best = min(best, then, key=_seconds) if then.fits else best
            break
        place -= 1
    for step in higher[place + 1 :]:
        then = best if trials.over else _taken(trials, best, step)
        if then is best:
            break
        best = then
    return best


def _seconds(candidate: Candidate) -> float:
    return candidate.seconds


def _taken(trials: Trials, at: Candidate, step: Step) -> Candidate:
    """With the step, where that fits and saves time."""
    then = trials.plan(at.gpus, with_step(at.steps, step))
    return then if then.fits and then.seconds < at.seconds * (1 - WORTH) else at


def _above(at: Candidate, axis: Axis) -> list[Step]:
    """Of a candidate without a step of the ladder, what is above the size that the ladder leaves out."""
    own = next((step for step in at.steps if step.axis == axis.name), None)
    now = axis.unchanged if own is None else _size(own)
    return [step for step in axis.steps if _size(step) > now]


def _size(step: Step) -> int:
    return int(step.key)


def _predicted(at: Candidate, then: Candidate, higher: list[Step]) -> int:
    """Which of the steps above leaves nothing on the fullest card, if each sequence takes as much."""
    first = _size(higher[0])
    taken = max(at.outcome.left - then.outcome.left, 1) / max(first - first // 2, 1)
    most = first + then.outcome.left / taken
    return sum(_size(step) <= most for step in higher[1:])
