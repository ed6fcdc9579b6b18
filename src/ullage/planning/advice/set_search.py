"""The search on one set of cards: how a workload is made to fit there, and then faster."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from ullage.facts.gpu import GpuSet
from ullage.planning.advice.descent import each_way, faster, kinds, leanest, mixed, relaxed, roomier
from ullage.planning.advice.front import KEYS, point_of
from ullage.planning.advice.ladder import climb, smallest
from ullage.planning.advice.role_axes import WHOLE
from ullage.planning.advice.step import VLLM, Axis, Family, Step, with_step, without
from ullage.planning.advice.trials import Candidate, Trials

WAYS: Final[tuple[tuple[Family, ...], ...]] = (
    ("same",),
    ("same", "lower"),
    ("same", "wait"),
    ("same", "lower", "wait"),
)
"""Families of changes by which a workload is made to fit; each way may cost what another does not."""
LAST_WAY: Final[tuple[Family, ...]] = ("same", "lower", "wait", "less")
SHARE_TO_RELAX: Final = 0.5
"""Of what a way to fit may take; the rest is for larger batches."""
NEAR: Final = 4
"""Where less than that part of what is taken is too much, smaller batches and other places are tried."""
FAR: Final = 3.0
"""A setting that is so many times as dear and as slow as on other cards stays so with larger batches."""


class SetSearch:
    """The search on one set of cards, whose axes it has."""

    def __init__(self, trials: Trials, gpus: GpuSet, axes: tuple[Axis, ...]) -> None:
        self._trials, self.gpus, self._axes = trials, gpus, axes

    def by_families(self) -> None:
        """Every way to make it fit; then what makes that faster, with fewer bits and without."""
        base = self._trials.plan(self.gpus)
        if base.fits:
            self._quicken(base)
            self._fewer_bits()
            return
        most = {families: self._leanest(base, self._of(*families)) for families in WAYS}
        ways = [families for families, at in most.items() if at.fits]
        if not ways:
            most[LAST_WAY] = self._leanest(base, self._of(*LAST_WAY))
            ways = [LAST_WAY] if most[LAST_WAY].fits else []
        for count, families in enumerate(ways):
            with self._trials.within(1 / (len(ways) - count + 1)):
                self._by(most[families], families)
        self._fewer_bits()

    def _by(self, most: Candidate, families: tuple[Family, ...]) -> None:
        """From what is as lean as changes of these families make it. They are taken back as far as it fits
        without, those that lose quality first, and those that take time first."""
        own = self._of(*families)
        for quality_first in (True, False) if set(families) & {"lower", "less"} else (False,):
            with self._trials.within(SHARE_TO_RELAX):
                at = relaxed(self._trials, most, own, quality_first)
            relaxed(self._trials, self._quicken(at), own, quality_first)

    def _quicken(self, at: Candidate) -> Candidate:
        same = self._of("same")
        return roomier(self._trials, faster(self._trials, at, same), same)

    def _leanest(self, base: Candidate, own: tuple[Axis, ...]) -> Candidate:
        """As lean as can be. Quantized layers do not wait off the cards: where bits alone do not do, roles
        keep theirs and wait instead, one after the other."""
        waits = [axis for axis in own if axis.name.endswith(" offload")]
        bits = [axis for axis in own if axis.name.endswith(" precision")]
        if not waits or not bits:
            return leanest(self._trials, base, own)
        at = leanest(self._trials, base, tuple(axis for axis in own if axis not in waits))
        while not at.fits and waits and not self._trials.over:
            tried: dict[Axis, Candidate] = {}
            for axis in waits:
                tried[axis] = self._waiting(at, axis)
                if tried[axis].fits:
                    break
            best = min(tried, key=lambda axis: tried[axis].outcome.over)
            if tried[best].outcome.over >= at.outcome.over:
                break
            at = tried[best]
            waits.remove(best)
        return at

    def _waiting(self, at: Candidate, axis: Axis) -> Candidate:
        """With its role's layers unquantized, and partly off the cards."""
        assert axis.leanest is not None
        steps = without(at.steps, f"{axis.role} precision")
        return self._trials.plan(self.gpus, with_step(steps, axis.leanest))

    def _fewer_bits(self) -> None:
        """Of what fits already, lower precisions of all roles, and of those that it makes faster, with the
        batches and the engines they leave room for; then the lowest of every role."""
        best = self._best_here()
        if best is None:
            return
        lower, same = self._of("lower"), self._of("same")
        for alike in kinds(lower):
            tried = each_way(self._trials, best, alike)
            beginnings = [mixed(self._trials, best, tried), *sorted(tried, key=KEYS["time"])]
            for then in dict.fromkeys(beginnings):
                if then.fits and then is not best and not self._trials.over:
                    faster(self._trials, then, same)
        if len(lower) > 1 and not self._trials.over:
            then = leanest(self._trials, best, lower)
            self.climb(then) if then.fits else None

    def _best_here(self) -> Candidate | None:
        own = [each for each in self._trials.found if each.gpus == self.gpus and each.fits]
        return min(own, key=KEYS["time"], default=None)

    def climb(self, at: Candidate) -> Candidate:
        """Batches as large as fit, together and role by role."""
        return faster(self._trials, at, tuple(self._ladders))

    def glance(self, others: list[tuple[Step, ...]]) -> list[Candidate]:
        """What was good elsewhere, and the workload as it is where nothing was, as it is here."""
        starts = dict.fromkeys(self._here(steps) for steps in others) or {(): None}
        return [self._trials.plan(self.gpus, steps) for steps in starts]

    def from_others(self, others: list[tuple[Step, ...]]) -> Candidate | None:
        """Of each role what was fastest of these, without loss and with any; batches of all roles together as
        they fit here, unless it is far from the best as it is; the fastest."""
        tried = self.glance(others)
        likely = [self._mixed([each for each in tried if not each.loss]), self._mixed(tried)]
        if not any(each.fits for each in tried):
            likely = [self._fitted(tried)]
        elif not any(each.fits and not each.loss for each in tried):
            likely[0] = self._fitted([each for each in tried if not each.loss])
        climbed = [self._climb(each) for each in dict.fromkeys(likely) if each is not None]
        return min(climbed, key=KEYS["time"], default=None)

    def _mixed(self, tried: list[Candidate]) -> Candidate | None:
        best = min((each for each in tried if each.fits), key=KEYS["time"], default=None)
        if best is None or self._trials.over:
            return best
        then = mixed(self._trials, best, tried)
        return None if _is_far(then, self._trials) else then

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
        if not near or self._trials.over:
            return None
        beginnings = dict.fromkeys((min(near, key=_over), self._trials.plan(self.gpus)))
        small = (leanest(self._trials, each, self._of("same")) for each in beginnings)
        return next((each for each in small if each.fits), None)

    def _climb(self, at: Candidate) -> Candidate:
        """Batches of all roles as large as fit, all of one size."""
        return climb(self._trials, at, self._ladders)

    @property
    def _ladders(self) -> list[Axis]:
        return [axis for axis in self._axes if axis.ladder]

    def usual(self, taken: dict[str, bool]) -> list[tuple[Step, ...]]:
        """vLLM for the roles it takes, all of them in each precision there is.
        `taken` remembers which it took where that was asked first."""
        engines: tuple[Step, ...] = ()
        bits: dict[str, tuple[Step, ...]] = {WHOLE: ()}
        for axis in self._axes:
            if axis.kind == "engine":
                vllm = [step for step in axis.steps if step.key.startswith(VLLM)][-1:]
                if vllm and axis.role not in taken:
                    asked = _all((*self._stored(axis.role), *vllm))
                    taken[axis.role] = self._trials.plan(self.gpus, asked).possible
                engines += tuple(vllm) if taken.get(axis.role) else ()
            for step in axis.steps if axis.kind == "precision" else ():
                bits[step.key] = (*bits.get(step.key, ()), step)
        found = dict.fromkeys(_all((*steps, *engines)) for steps in bits.values())
        return [steps for steps in found if self._trials.may_be_said(steps)]

    def _stored(self, role: str) -> tuple[Step, ...]:
        """A role in the precision its checkpoint is stored in."""
        own = (axis for axis in self._axes if axis.role == role and axis.kind == "precision")
        return tuple(step for axis in own for step in axis.steps if step.key == "auto")

    @property
    def splits(self) -> bool:
        """Whether a role may be run by all cards together."""
        return any(step.key.startswith(VLLM) for axis in self._axes for step in axis.steps)

    def closely(self) -> None:
        """What makes the fastest setting here faster still."""
        best = self._best_here()
        if best is not None:
            self._quicken(best)
            self._fewer_bits()

    def _here(self, steps: tuple[Step, ...]) -> tuple[Step, ...]:
        """The same steps as they are taken on these cards."""
        found: tuple[Step, ...] = ()
        for step in steps:
            axis = next((each for each in self._axes if each.name == step.axis), None)
            if axis is None or not axis.is_apt(found):
                continue
            keys = ["vllm on all", "vllm on one"] if step.key.startswith(VLLM) else [step.key]
            own = next((each for key in keys for each in axis.steps if each.key == key), None)
            if own is not None:
                found = with_step(found, own)
        return found

    def _of(self, *families: Family) -> tuple[Axis, ...]:
        """Axes of these families; of the others what asks nothing of the user: no step that loses quality."""
        own = (axis if axis.family in families else _harmless(axis) for axis in self._axes)
        return tuple(axis for axis in own if axis is not None)


def _harmless(axis: Axis) -> Axis | None:
    """Its steps to other bits that lose none, as those that are stored are; None without any."""
    steps = tuple(step for step in axis.steps if not step.loss) if axis.family == "lower" else ()
    return axis._replace(steps=steps, lean=None) if steps else None


def _over(candidate: Candidate) -> int:
    return candidate.outcome.over


def _is_far(candidate: Candidate, trials: Trials) -> bool:
    """Whether the same setting is far cheaper on other cards, and far faster on some: larger batches change
    that little."""
    alike = trials.best.alike(candidate.steps)
    usd, seconds = min(point_of(each).usd for each in alike), min(each.seconds for each in alike)
    return point_of(candidate).usd > usd * FAR and candidate.seconds > seconds * FAR


def _all(steps: Iterable[Step]) -> tuple[Step, ...]:
    """As one setting."""
    found: tuple[Step, ...] = ()
    for step in steps:
        found = with_step(found, step)
    return found
