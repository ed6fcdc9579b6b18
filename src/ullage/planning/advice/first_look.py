"""A first look at one set of cards: what was good on others, as it is taken and as it fits there."""

from __future__ import annotations

from typing import Final

from ullage.facts.gpu import GpuSet
from ullage.planning.advice.descent import leanest, mixed, unhurried
from ullage.planning.advice.front import KEYS, point_of
from ullage.planning.advice.ladder import climb, smallest
from ullage.planning.advice.role_axes import STORED, WHOLE
from ullage.planning.advice.step import (
    VLLM_ON_ALL,
    VLLM_ON_FEWER,
    VLLM_ON_ONE,
    Axis,
    Family,
    Step,
    with_step,
    with_steps,
)
from ullage.planning.advice.trials import Candidate, Trials

LOW: Final[tuple[tuple[Family, ...], ...]] = (("lower",), ("same", "lower"))
"""What makes a workload as lean as can be, first in the fewest bits alone."""
NEAR: Final = 4
"""Where less than that part of what is taken is too much, smaller batches and other places are tried."""
FAR: Final = 3.0
"""A setting that is so many times as dear and as slow as on other cards stays so with larger batches."""


class FirstLook:
    """At one set of cards, whose axes it has."""

    def __init__(self, trials: Trials, gpus: GpuSet, axes: tuple[Axis, ...]) -> None:
        self._trials, self.gpus, self._axes = trials, gpus, axes

    @property
    def splits(self) -> bool:
        """Whether a role may be run by all cards together."""
        return any(step.by_vllm for axis in self._axes for step in axis.steps)

    def glance(self, others: list[tuple[Step, ...]]) -> list[Candidate]:
        """What was good elsewhere, and the workload as it is where nothing was, as it is here."""
        starts = dict.fromkeys(self._here(steps) for steps in others) or {(): None}
        return [self._trials.plan(self.gpus, steps) for steps in starts]

    def from_others(self, others: list[tuple[Step, ...]]) -> Candidate | None:
        """Of each role what was fastest of these, without loss and with any; batches of all roles together as
        they fit here, unless it is far from the best as it is; the fastest."""
        tried = self.glance(others)
        if not any(each.fits for each in tried):
            plain, lossy = self._trials.best.plain, self._trials.best.lossy
            if plain is not None and lossy is not None and plain.open == lossy.open and not self._trials.over:
                alone = self.glance([smallest(plain.steps, self._ladders)])
                tried += [unhurried(self._trials, each, self._axes) if each.fits else each for each in alone]
        if any(each.fits for each in tried):
            # What vLLM runs is compared in batches of its own: its first ones say little of larger ones.
            by_vllm = [each for each in tried if each.by_vllm]
            groups = [each for each in tried if not each.loss], tried, by_vllm
            likely = [self._mixed(group) for group in groups]
            if not any(each.fits and not each.loss for each in tried):
                likely[0] = self._fitted([each for each in tried if not each.loss])
        else:
            likely = self._fitting(tried)
        climbed = [self._raised(each) for each in dict.fromkeys(likely) if each is not None]
        return min(climbed, key=KEYS["time"], default=None)

    def _mixed(self, tried: list[Candidate]) -> Candidate | None:
        best = min((each for each in tried if each.fits), key=KEYS["time"], default=None)
        if best is None or self._trials.over:
            return best
        then = mixed(self._trials, best, tried)
        return None if _is_far(then, self._trials) else then

    def _fitting(self, tried: list[Candidate]) -> list[Candidate | None]:
        """Of what does not fit as it is what does: without loss, unless that is far slower, and in the fewest
        bits."""
        whole, low = self._fitted(tried), self._low()
        return [low] if low and whole and whole.seconds > low.seconds * FAR else [whole, low]

    def _fitted(self, tried: list[Candidate]) -> Candidate | None:
        """These in the smallest batches; else what exceeds these cards by little, or the workload as it is,
        as lean as can be without loss."""
        for each in sorted((one for one in tried if one.possible), key=_over):
            steps = smallest(each.steps, self._ladders)
            if steps != each.steps and not self._trials.over:
                then = self._trials.plan(self.gpus, steps)
                if then.fits:
                    return then
        if not any(each.possible for each in tried):
            tried = [self._trials.plan(self.gpus)]
        near = [
            each for each in tried if each.possible and each.outcome.over < each.outcome.peak.high // NEAR
        ]
        beginnings = dict.fromkeys((*sorted(near, key=_over)[:1], self._trials.plan(self.gpus)))
        own = self._of("same")
        small = (leanest(self._trials, each, own) for each in beginnings if not self._trials.over)
        found = next((each for each in small if each.fits), None)
        return found and unhurried(self._trials, found, self._axes)

    def _low(self) -> Candidate | None:
        """The workload as it is in the fewest bits of all roles, in the smallest batches; or as lean as can
        be."""
        base = self._trials.plan(self.gpus)
        small = base._replace(steps=smallest(base.steps, self._ladders))
        for families in LOW:
            if not self._trials.over:
                own = self._of(*families)
                then = leanest(self._trials, small, own)
                if then.fits:
                    return unhurried(self._trials, then, self._axes)
        return None

    def _raised(self, at: Candidate) -> Candidate:
        """Batches of all roles as large as fit, all of one size."""
        return climb(self._trials, at, self._ladders)

    @property
    def _ladders(self) -> list[Axis]:
        return [axis for axis in self._axes if axis.ladder]

    def _of(self, *families: Family) -> tuple[Axis, ...]:
        """Axes of these families; of the others what asks nothing of the user: no step that loses quality."""
        own = (axis if axis.family in families else _harmless(axis) for axis in self._axes)
        return tuple(axis for axis in own if axis is not None)

    def usual(self, taken: dict[str, bool]) -> list[tuple[Step, ...]]:
        """vLLM for the roles it takes, all of them in each precision there is.
        `taken` remembers which it took where that was asked first."""
        engines: tuple[Step, ...] = ()
        bits: dict[str, tuple[Step, ...]] = {WHOLE: ()}
        for axis in self._axes:
            if axis.kind == "engine":
                vllm = [step for step in axis.steps if step.by_vllm][-1:]
                if vllm and axis.role not in taken:
                    asked = with_steps((), (*self._stored(axis.role), *vllm))
                    taken[axis.role] = self._trials.plan(self.gpus, asked).possible
                engines += tuple(vllm) if taken.get(axis.role) else ()
            for step in axis.steps if axis.kind == "precision" else ():
                bits[step.key] = (*bits.get(step.key, ()), step)
        starts = with_steps((), engines)
        found = dict.fromkeys(with_steps(starts, steps) for steps in bits.values())
        return [steps for steps in found if self._trials.may_be_said(steps)]

    def _stored(self, role: str) -> tuple[Step, ...]:
        """A role in the precision its checkpoint is stored in."""
        own = (axis for axis in self._axes if axis.role == role and axis.kind == "precision")
        return tuple(step for axis in own for step in axis.steps if step.key == STORED)

    def _here(self, steps: tuple[Step, ...]) -> tuple[Step, ...]:
        """The same steps as they are taken on these cards."""
        found: tuple[Step, ...] = ()
        for step in steps:
            axis = next((each for each in self._axes if each.name == step.axis), None)
            if axis is None or not axis.is_apt(found):
                continue
            keys = self._by_vllm if step.by_vllm else [step.key]
            own = next((each for key in keys for each in axis.steps if each.key == key), None)
            if own is not None:
                found = with_step(found, own)
        return found

    @property
    def _by_vllm(self) -> list[str]:
        """Over how many of these cards it most likely splits a role: over such a number as halves of a
        model's heads can be made for."""
        halves = len(self.gpus.gpus).bit_count() == 1
        return [VLLM_ON_ALL, VLLM_ON_ONE] if halves else [VLLM_ON_FEWER, VLLM_ON_ALL, VLLM_ON_ONE]


def _harmless(axis: Axis) -> Axis | None:
    """Its steps to other bits that lose none, as those that are stored are; None without any. Half of fp32 is
    leaner, too."""
    steps = tuple(step for step in axis.steps if not step.loss) if axis.family == "lower" else ()
    leaner = [place for place, step in enumerate(steps) if step.key != STORED]
    return axis._replace(steps=steps, lean=leaner[-1] if leaner else None) if steps else None


def _over(candidate: Candidate) -> int:
    return candidate.outcome.over


def _is_far(candidate: Candidate, trials: Trials) -> bool:
    """Whether the same setting is far cheaper on other cards, and far faster on some: larger batches change
    that little."""
    alike = trials.best.alike(candidate.steps)
    usd, seconds = min(point_of(each).usd for each in alike), min(each.seconds for each in alike)
    return point_of(candidate).usd > usd * FAR and candidate.seconds > seconds * FAR
