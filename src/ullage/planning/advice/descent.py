"""Two ways from one candidate to a better one on the same cards: what it fits without, and what is faster."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ullage.planning.advice.ladder import WORTH, above_all, climb, sized, smallest
from ullage.planning.advice.step import Axis, Step, apt, with_step, with_steps, without
from ullage.planning.advice.trials import Candidate, Trials

BEYOND: Final = 1
"""Sizes of all roles' batches beyond the largest that fits, which say what each would gain by its own."""
SLOWER: Final = 3.0
"""What takes so many times longer with another engine is not tried in larger batches."""
NEXT: Final = 2
"""Of what makes a role faster so many are tried beside what others take, the fastest first."""
TELLS: Final = 0.0001
"""Share of a time below which another is the same."""


def leanest(trials: Trials, base: Candidate, axes: tuple[Axis, ...]) -> Candidate:
    """With the step of each axis that takes least memory: where that does not fit, nothing of these axes
    does, so that no more of them need be planned. Steps that are refused are left out."""
    steps = [step for axis in axes if (step := axis.leanest_beside(base.steps)) is not None]
    for axis in axes:
        if axis.ladder and axis.leanest is None:
            base = base._replace(steps=without(base.steps, axis.name))
    steps = [step for step in steps if trials.allows(with_step(base.steps, step))]
    return _with(trials, base, _accepted(trials, base, steps))


def _accepted(trials: Trials, base: Candidate, steps: list[Step]) -> list[Step]:
    """All of these steps where they are possible together, else what halves of them leave."""
    if not steps or trials.over or _with(trials, base, steps).possible:
        return steps
    if len(steps) == 1:
        return []
    middle = len(steps) // 2
    return [step for half in (steps[:middle], steps[middle:]) for step in _accepted(trials, base, half)]


def _with(trials: Trials, base: Candidate, steps: list[Step]) -> Candidate:
    return trials.plan(base.gpus, with_steps(base.steps, steps))


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


def unhurried(trials: Trials, at: Candidate, axes: tuple[Axis, ...]) -> Candidate:
    """Without those steps that cost time, as far as it fits."""
    known = {axis.name: axis for axis in axes}
    return _back(trials, at, [step for step in at.steps if step.slower], known, quality_first=False)


def _back(
    trials: Trials, at: Candidate, steps: list[Step], known: Mapping[str, Axis], quality_first: bool
) -> Candidate:
    """Takes steps back: all of them where it fits without, else half by half (as in delta debugging, Zeller
    2002)."""
    if not steps or trials.over:
        return at
    left = apt(tuple(step for step in at.steps if step not in steps))
    ways = [left]
    if len(steps) == 1:
        milder = [each for each in known[steps[0].axis].steps if each.loss < steps[0].loss]
        larger = [each for each in known[steps[0].axis].steps if each.piece > steps[0].piece > 0]
        ways += [with_step(left, each) for each in (*milder, *larger[::-1])]
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
    """One kind of change after the other until none saves time: of all roles at once, and of each what makes
    it faster."""
    better = True
    ladders = {axis.role: axis for axis in axes if axis.ladder}
    while better and not trials.over:
        better = False
        for alike in kinds(axes):
            then = _faster_by(trials, at, [axis for axis in alike if _is_worth(axis, at)], ladders)
            if then is not at:
                at, better = then, True
    return at


def kinds(axes: tuple[Axis, ...]) -> list[list[Axis]]:
    """Axes of one kind together; batches first, which are raised together: who works alone in its phases has
    the same room as the others."""
    found: dict[str, list[Axis]] = {}
    for axis in sorted(axes, key=lambda axis: not axis.ladder):
        found.setdefault(axis.kind, []).append(axis)
    return [*found.values()]


def _is_worth(axis: Axis, at: Candidate) -> bool:
    """Whether its steps mean something here, and its role's time is worth to be saved."""
    return axis.is_apt(at.steps) and (not axis.role or at.seconds_of(axis.role) >= at.seconds * WORTH)


def _faster_by(trials: Trials, at: Candidate, alike: list[Axis], ladders: Mapping[str, Axis]) -> Candidate:
    if trials.over or not alike:
        return at
    if not alike[0].ladder:
        tried = each_way(trials, at, [_quick(axis, at) for axis in alike])
        if alike[0].kind == "engine":
            tried += _in_own_batches(trials, at, tried, ladders)
        return mixed(trials, at, tried)
    at = climb(trials, at, alike)
    if len(alike) == 1:
        return at
    more = [sized(at.steps, alike, size) for size in above_all(at, alike)[:BEYOND]]
    tried = [trials.plan(at.gpus, steps) for steps in more if not trials.over]
    at = mixed(trials, at, tried)
    return mixed(trials, at, tried[:1])  # for whom the largest is too large


def _in_own_batches(
    trials: Trials, at: Candidate, tried: list[Candidate], ladders: Mapping[str, Axis]
) -> list[Candidate]:
    """What has no room for the batches that another engine had, in such as it has; and what is slower in
    them, in larger ones."""
    found = []
    for each in tried:
        taken = [step.role for step in each.steps if step not in at.steps]
        left = [step.role for step in at.steps if step not in each.steps]
        theirs = [ladders[role] for role in dict.fromkeys((*taken, *left)) if role in ladders]
        if trials.over or not each.possible or not theirs:
            continue
        small = each
        if not each.fits:
            steps = smallest(each.steps, theirs)
            small = trials.plan(at.gpus, steps) if steps != each.steps else each
            found.append(small)
        elif each.open > at.open or each.is_faster(at) or each.seconds > at.seconds * SLOWER:
            continue
        found.append(climb(trials, small, theirs) if small.fits else small)
    return found


def _quick(axis: Axis, at: Candidate) -> Axis:
    """Without steps that save but memory, unless one of them is taken: another may be less slow."""
    if any(step.axis == axis.name for step in at.steps):
        return axis
    return axis._replace(steps=tuple(step for step in axis.steps if not step.slower))


def each_way(trials: Trials, at: Candidate, alike: list[Axis]) -> list[Candidate]:
    """Without steps of these axes, then with each of their steps: of every role that has and takes it."""
    found = []
    for key in dict.fromkeys((None, *(step.key for axis in alike for step in axis.steps))):
        then = at.steps
        for axis in alike:
            step = next((each for each in axis.steps if each.key == key), None)
            left = without(then, axis.name) if key is None else then
            more = left if step is None else with_step(left, step)
            then = more if trials.may_be_said(more) else then
        if then != at.steps and not trials.over:
            found += _possible(trials, at, then)
    return found


def _possible(trials: Trials, at: Candidate, steps: tuple[Step, ...]) -> list[Candidate]:
    """These steps; where they are refused together, those of each role beside `at`."""
    then = trials.plan(at.gpus, steps)
    roles = dict.fromkeys(step.role for step in (*at.steps, *steps) if (step in steps) != (step in at.steps))
    if then.possible or len(roles) < 2:
        return [then]
    return [trials.plan(at.gpus, _of_role(at.steps, steps, role)) for role in roles if not trials.over]


def _of_role(steps: tuple[Step, ...], others: tuple[Step, ...], role: str) -> tuple[Step, ...]:
    """`steps` with those of one role as `others` have them."""
    found = [step for step in steps if step.role != role] + [step for step in others if step.role == role]
    return tuple(sorted(found, key=lambda step: step.axis))


def mixed(trials: Trials, at: Candidate, tried: list[Candidate]) -> Candidate:
    """The fastest that fits of these; or, of each role, the steps with which it was fastest in any of them,
    whether that fits or not: all of them, else as many as fit, those first that save most; where a role's
    fastest do not, its next ones."""
    tried = [each for each in tried if each.possible]
    best = at
    for each in tried:
        best = each if each.fits and each.is_faster(best, WORTH) else best
    roles = dict.fromkeys(step.role for each in (best, *tried) for step in each.steps if step.role)
    saving = {role: _saving(role, best, tried) for role in roles}
    ordered = sorted((role for role in roles if saving[role]), key=lambda role: -saving[role][0][0])
    if not ordered or trials.over:
        return best
    whole = best.steps
    for role in ordered:
        whole = _of_role(whole, saving[role][0][1], role)
    then = trials.plan(at.gpus, whole)
    if then.fits and then.is_faster(best, WORTH):
        return then
    tried_alone = len(ordered) == 1  # a role whose fastest was the whole
    for role in ordered:
        for _, steps in saving[role][int(tried_alone) : NEXT]:
            if trials.over:
                break
            then = trials.plan(at.gpus, _of_role(best.steps, steps, role))
            if then.fits and then.is_faster(best, WORTH):
                best = then
                break
    return best


def _saving(role: str, best: Candidate, tried: list[Candidate]) -> list[tuple[float, tuple[Step, ...]]]:
    """Seconds that a role's work takes less in any of these than in the best, and its steps there, the most
    first; each of its own steps once."""
    found: dict[tuple[Step, ...], tuple[float, tuple[Step, ...]]] = {}
    for each in tried:
        saved = best.seconds_of(role) - each.seconds_of(role)
        own = tuple(step for step in each.steps if step.role == role)
        if saved > best.seconds * WORTH and (own not in found or saved > found[own][0]):
            found[own] = saved, each.steps
    return sorted(found.values(), key=lambda pair: -pair[0])


def roomier(trials: Trials, at: Candidate, axes: tuple[Axis, ...]) -> Candidate:
    """Steps that save no time themselves, with the larger batches that they leave room for."""
    ladders = tuple(axis for axis in axes if axis.ladder)
    for alike in kinds(tuple(axis for axis in axes if not axis.ladder)):
        lean = [step for axis in alike if (step := axis.leanest_beside(at.steps)) is not None]
        steps = with_steps(at.steps, lean)
        if steps == at.steps or trials.over:
            continue
        for then in _possible(trials, at, steps):
            if then.fits and then.outcome.left > at.outcome.left:
                larger = climb(trials, then, ladders)
                then = faster(trials, larger, ladders) if larger is not then else then
                at = then if then.is_faster(at, WORTH) else at
    return at
