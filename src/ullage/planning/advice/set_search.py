"""The search on one set of cards: how a workload is made to fit there, and then faster."""

from __future__ import annotations

from typing import Final

from ullage.planning.advice.descent import each_way, faster, kinds, leanest, mixed, relaxed, roomier
from ullage.planning.advice.first_look import FirstLook
from ullage.planning.advice.front import KEYS
from ullage.planning.advice.step import Axis, Family, with_step, without
from ullage.planning.advice.trials import Candidate

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


class SetSearch(FirstLook):
    """The search on one set of cards: a first look, then all that makes it fit there and faster."""

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
        best = self._trials.best.on(self.gpus)
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
            faster(self._trials, then, tuple(self._ladders)) if then.fits else None

    def _milder(self) -> None:
        """Other bits of every role, with all that the fastest here has beside them."""
        best = self._trials.best.on(self.gpus)
        if best is None or not best.loss:
            return
        for alike in kinds(self._of("lower")):
            best = mixed(self._trials, best, each_way(self._trials, best, alike))

    def closely(self) -> None:
        """What makes the fastest setting here faster still."""
        best = self._trials.best.on(self.gpus)
        if best is not None:
            self._quicken(best)
            self._fewer_bits()
            self._milder()
