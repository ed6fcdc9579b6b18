"""Two ways from one candidate to a better one on the same cards: what it fits without, and what is faster."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ullage.planning.advice.step import Axis, Step, with_step, without
from ullage.planning.advice.trials import Candidate, Trials

ALL: Final = "all batches"
WORTH: Final = 0.01
"""Share of the time that a change must save to be made."""
TELLS: Final = 0.0001
"""Share of a time below which another is the same."""


def leanest(trials: Trials, base: Candidate, axes: tuple[Axis, ...]) -> Candidate:
    """With the step of each axis that takes least memory: where that does not fit, nothing of these axes
    does, so that no more of them need be planned. Steps that are refused are left out."""
    steps = [axis.leanest for axis in axes if axis.leanest is not None and axis.is_apt(base.steps)]
    for axis in axes:
        if axis.ladder and axis.leanest is None:
            base = base._replace(steps=without(base.steps, axis.name))
    steps = [step for step in steps if trials.allows(with_step(base.steps, step))]
    at = _with(trials, base, steps)
    if at.possible:
        return at
    return _with(trials, base, [step for step in steps if _with(trials, base, [step]).possible])


def _with(trials: Trials, base: Candidate, steps: list[Step]) -> Candidate:
    taken = base.steps
    for step in steps:
        taken = with_step(taken, step)
    return trials.plan(base.gpus, taken)


def relaxed(trials: Trials, at: Candidate, axes: tuple[Axis, ...], quality_first: bool) -> Candidate:
    """What fits without some of its steps, or with milder ones of their axes: those that lose quality are
    taken back before those that take time, whatever that costs; or after them, where it is no slower
    without."""
    lossy = sorted((step for step in at.steps if step.loss), key=lambda step: -step.loss)
    groups = lossy, [step for step in at.steps if not step.loss]
    known = {axis.name: axis for axis in axes}
    for group in groups if quality_first else groups[::-1]:
        steps = [step for step in group if step in at.steps]
        at = _back(trials, at, steps, known, quality_first)
    return at


def _back(
    trials: Trials, at: Candidate, steps: list[Step], known: Mapping[str, Axis], quality_first: bool
) -> Candidate:
    """Takes steps back: all of them where it fits without, else half by half (as in delta debugging, Zeller
    2002)."""
    if not steps or trials.over:
        return at
    left = tuple(step for step in at.steps if step not in steps)
    ways = [left]
    if len(steps) == 1:
        milder = [each for each in known[steps[0].axis].steps if each.loss < steps[0].loss]
        ways += [with_step(left, each) for each in milder]
    for way in ways:
        then = trials.plan(at.gpus, way)
        better = quality_first and then.loss < at.loss
        if then.fits and (better or not at.is_faster(then, TELLS)):
            return then
    if len(steps) > 1:
        middle = len(steps) // 2
        for half in (steps[:middle], steps[middle:]):
            at = _back(trials, at, half, known, quality_first)
    return at


def faster(trials: Trials, at: Candidate, axes: tuple[Axis, ...]) -> Candidate:
    """One axis after the other, the fastest of its steps that fits, until none saves time. Batches are raised
    together first: who works alone in its phases has the same room as the others."""
    ladders = [axis for axis in axes if axis.ladder]
    if len(ladders) > 1:
        at = climb(trials, at, as_one(ladders))
    better = True
    while better and not trials.over:
        better = False
        for axis in sorted(axes, key=lambda axis: -_share(at, axis)):
            if trials.over:
                break
            if not axis.is_apt(at.steps) or _share(at, axis) < WORTH:
                continue
            then = climb(trials, at, axis) if axis.ladder else _fastest(trials, at, axis)
            if then is not at:
                at, better = then, True
    return at


def _share(at: Candidate, axis: Axis) -> float:
    """Of the time, what a change by this axis can save at most: what its role takes, unless it changes how
    much of a card the role leaves to others."""
    others = not axis.role or axis.name.endswith(" precision") or at.open
    return 1.0 if others else dict(at.outcome.shares).get(axis.role, 0.0)


def roomier(trials: Trials, at: Candidate, axes: tuple[Axis, ...]) -> Candidate:
    """Steps that save no time themselves, with the larger batches that they leave room for."""
    ladders = tuple(axis for axis in axes if axis.ladder)
    for axis in axes:
        step = axis.leanest
        if axis.ladder or step is None or step in at.steps or not axis.is_apt(at.steps) or trials.over:
            continue
        then = trials.plan(at.gpus, with_step(at.steps, step))
        if then.fits and then.outcome.left > at.outcome.left:
            then = faster(trials, then, ladders)
            at = then if then.is_faster(at, WORTH) else at
    return at


def as_one(ladders: list[Axis]) -> Axis:
    """One ladder whose every step is that of each of them; smaller ones end below."""
    least = min(axis.unchanged for axis in ladders)
    sizes = sorted({_size(step) for axis in ladders for step in axis.steps if _size(step) > least})
    steps = tuple(Step(ALL, str(size), (), 0.0, "") for size in sizes)
    return Axis(ALL, "same", steps, ladder=True, unchanged=least, parts=tuple(ladders))


def _fastest(trials: Trials, at: Candidate, axis: Axis) -> Candidate:
    best = at
    taken = any(step.axis == axis.name for step in at.steps)
    ways = [without(at.steps, axis.name)] if taken else []
    for steps in (*ways, *(with_step(at.steps, step) for step in axis.steps if not step.slower)):
        if not trials.over:
            then = trials.plan(at.gpus, steps)
            if then.fits and then.is_faster(best, WORTH):
                best = then
    return best


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
        then = trials.plan(at.gpus, _sized(best.steps, axis, higher[place]))
        if then.fits and then.is_faster(best, WORTH):
            best, fits, place = then, place, place + 1
        else:
            beyond = place
            place = _between(best, _size(higher[fits]), then, _size(higher[beyond]), higher)
    return best


def _taken(trials: Trials, at: Candidate, axis: Axis, step: Step) -> Candidate:
    """With the step, where that fits and saves time."""
    then = trials.plan(at.gpus, _sized(at.steps, axis, step))
    return then if then.fits and then.is_faster(at, WORTH) else at


def _sized(steps: tuple[Step, ...], axis: Axis, step: Step) -> tuple[Step, ...]:
    """With the step; of a ladder of several, with that of each which is no larger."""
    if not axis.parts:
        return with_step(steps, step)
    for part in axis.parts:
        fitting = [each for each in part.steps if part.unchanged < _size(each) <= _size(step)]
        steps = with_step(steps, fitting[-1]) if fitting else steps
    return steps


def _above(at: Candidate, axis: Axis) -> list[Step]:
    """Of a candidate without a step of the ladder, what is above the size that the ladder leaves out."""
    own = next((step for step in at.steps if step.axis == axis.name), None)
    now = axis.unchanged if own is None else _size(own)
    return [step for step in axis.steps if _size(step) > now]


def _size(step: Step) -> int:
    return int(step.key)


def _between(one: Candidate, size: int, other: Candidate, larger: int, ladder: list[Step]) -> int:
    """The place of the last step of a ladder that leaves something on the fullest card, if each sequence
    takes as much as between two sizes; -1 where that is none."""
    taken = max(one.outcome.left - other.outcome.left, 1) / max(larger - size, 1)
    most = larger + other.outcome.left / taken
    return sum(_size(step) <= most for step in ladder) - 1
