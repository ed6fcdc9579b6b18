"""The search: on the own cards by every family of changes, then on others from what was best so far."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Final

from ullage.facts.gpu import GpuSet
from ullage.planning.advice.card_sets import Order, Room, bytes_of, least_share, other_sets
from ullage.planning.advice.descent import faster, leanest, relaxed, roomier
from ullage.planning.advice.front import KEYS, point_of
from ullage.planning.advice.step import VLLM, Axis, Family, Step, with_step, without
from ullage.planning.advice.trials import Candidate, Trials

Axes = Callable[[GpuSet], tuple[Axis, ...]]
WAYS: Final[tuple[tuple[Family, ...], ...]] = (
    ("same",),
    ("same", "lower"),
    ("same", "wait"),
    ("same", "lower", "wait"),
)
"""Families of changes by which a workload is made to fit; each way may cost what another does not."""
LAST_WAY: Final[tuple[Family, ...]] = ("same", "lower", "wait", "less")
SHARE_OF_OWN: Final = 0.5
"""Of what a search may take, for the cards that were asked for."""
SHARE_TO_FIT: Final = 0.6
"""The same where it does not fit them as it is."""
SLACK: Final = 2.0
SETS_BY_USUAL: Final = 10
"""Sets on which what usually is good is tried beside what was best so far."""
WITHIN: Final = 2.0
"""A set whose first setting costs more, and takes longer, than so many times the best is not looked at more
closely."""


class SetSearch:
    """The search on one set of cards, whose axes it has."""

    def __init__(self, trials: Trials, gpus: GpuSet, axes: tuple[Axis, ...]) -> None:
        self._trials, self._gpus, self._axes = trials, gpus, axes

    def by_families(self) -> None:
        """Every way to make it fit; then what makes that faster, with fewer bits and without."""
        base = self._trials.plan(self._gpus)
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
        return self._trials.plan(self._gpus, with_step(steps, axis.leanest))

    def _fewer_bits(self) -> None:
        """Of what fits already, each lower precision with the batches and the engine it leaves room for; then
        the lowest of every role."""
        best = self._best_here()
        if best is None:
            return
        lower = self._of("lower")
        beside = {axis: self._beside(axis) for axis in lower}
        tried = [
            (self._trials.plan(self._gpus, with_step(best.steps, step)), axis)
            for axis in lower
            for step in axis.steps
            if not self._trials.over
        ]
        for then, axis in sorted(tried, key=lambda pair: pair[0].seconds):
            if then.fits and not self._trials.over:
                faster(self._trials, then, beside[axis])
        if len(lower) > 1 and not self._trials.over:
            then = leanest(self._trials, best, lower)
            self.climb(then) if then.fits else None

    def _beside(self, axis: Axis) -> tuple[Axis, ...]:
        """What may be changed of the same role without loss."""
        return tuple(each for each in self._of("same") if each.role == axis.role)

    def _best_here(self) -> Candidate | None:
        own = [each for each in self._trials.found if each.gpus == self._gpus and each.fits]
        return min(own, key=KEYS["time"], default=None)

    def climb(self, at: Candidate) -> Candidate:
        """Batches as large as fit, together and role by role."""
        return faster(self._trials, at, tuple(axis for axis in self._axes if axis.ladder))

    def from_others(self, others: list[tuple[Step, ...]]) -> Candidate | None:
        """What was good elsewhere, and the workload as it is where nothing was, with batches as they fit
        here; the fastest."""
        starts = dict.fromkeys(self._here(steps) for steps in others) or {(): None}
        tried = [self._trials.plan(self._gpus, steps) for steps in starts]
        fitting = [each for each in tried if each.fits]
        near = [each for each in tried if each.possible and each.outcome.over < each.outcome.peak.high // 2]
        if near and not fitting and not self._trials.over:
            small = leanest(self._trials, min(near, key=_over), self._of("same"))
            fitting += [small] if small.fits else []
        climbed = [self.climb(each) for each in sorted(fitting, key=KEYS["time"])[:2]]
        return min(climbed, key=KEYS["time"], default=None)

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
        return tuple(axis for axis in self._axes if axis.family in families)


def _over(candidate: Candidate) -> int:
    return candidate.outcome.over


def search(
    trials: Trials, gpus: GpuSet, order: Order, axes: Axes, others: bool, together: bool
) -> Iterator[GpuSet]:
    """Plans candidates until nothing is left or the limit is reached; gives the sets it did not come to.

    `axes` says what can be changed on a set; `others` whether other cards are looked at. A role works on all
    cards `together` already.
    """
    own = SetSearch(trials, gpus, axes(gpus))
    if gpus.abilities.has_kernels:
        share = SHARE_OF_OWN if trials.plan(gpus).fits else SHARE_TO_FIT
        with trials.within(share if others else 1.0):
            own.by_families()
    if not others:
        return
    peaks = [each.outcome.peak for each in trials.found if each.possible]
    room = Room(min((peak.low for peak in peaks), default=0), trials.plan(gpus).outcome.peak.high)
    together = together or own.splits
    seen: list[tuple[SetSearch, Candidate]] = []
    for count, other in enumerate(other_sets(gpus, room, order, together, trials.prices)):
        if trials.over:
            yield other
            continue
        if _is_hopeless(other, trials, together):
            continue
        there = SetSearch(trials, other, axes(other))
        usual = _usual(axes(other)) if count < SETS_BY_USUAL else []
        found = there.from_others([*_best_so_far(trials), *usual])
        if found is not None:
            seen.append((there, found))
    for there, _ in _promising(seen, order):
        if not trials.over:
            there.closely()
    _as_it_is(trials, gpus, room)


def _as_it_is(trials: Trials, gpus: GpuSet, room: Room) -> None:
    """The unchanged workload on every set where a bound allows it to be the cheapest, so that no list of sets
    that hold it has a cheaper one: work takes as long as on the own cards, but for what these do faster."""
    base = trials.plan(gpus)
    best = min(
        (usd for each in trials.found if each.fits and (usd := each.usd) is not None), default=math.inf
    )
    for usd_per_hour, other in trials.prices.sets():
        roomy = other.abilities.has_kernels and bytes_of(other) >= base.outcome.peak.low // 2
        seconds = base.seconds * min(least_share(other, gpus, together=True), 1.0)
        if roomy and usd_per_hour * seconds / 3600 < best:
            then = trials.plan(other)
            if then.fits and then.usd is not None:
                best = min(best, then.usd)


def _is_hopeless(gpus: GpuSet, trials: Trials, together: bool) -> bool:
    """Whether a bound says that nothing on these cards is cheaper, or faster, than the best so far without
    loss: were they as fast as they are in what they do best, and twice that for what fits them alone."""
    fitting = [each for each in trials.found if each.fits and not each.loss]
    if not fitting:
        return False
    cheapest, fastest = (min(fitting, key=KEYS[order]) for order in ("cost", "time"))
    price, usd = trials.prices.of(gpus), cheapest.usd
    shares = (each.seconds * least_share(gpus, each.gpus, together) for each in (cheapest, fastest))
    seconds = min(shares) / SLACK
    dearer = price is None or usd is None or price.usd_per_hour * seconds / 3600 >= usd
    return dearer and seconds >= fastest.seconds


def _best_so_far(trials: Trials) -> list[tuple[Step, ...]]:
    """Steps of the cheapest without loss, and at all."""
    fitting = [each for each in trials.found if each.fits and not each.cuts]
    if not fitting:
        return []
    least = min(each.loss for each in fitting)
    best = min((each for each in fitting if each.loss == least), key=KEYS["cost"])
    cheapest = min(fitting, key=KEYS["cost"])
    return [*dict.fromkeys((best.steps, cheapest.steps))]


def _usual(axes: tuple[Axis, ...]) -> list[tuple[Step, ...]]:
    """vLLM for all it runs, in the precisions that checkpoints are stored in and in fewer bits."""
    whole: tuple[Step, ...] = ()
    lower: tuple[Step, ...] = ()
    for axis in axes:
        vllm = [step for step in axis.steps if step.key.startswith(VLLM)]
        if vllm:
            whole, lower = with_step(whole, vllm[-1]), with_step(lower, vllm[-1])
        elif axis.name == f"{axis.role} precision":
            whole, lower = _with(whole, axis, "auto"), _with(lower, axis, "nf4")
    return [*dict.fromkeys((whole, lower))]


def _with(steps: tuple[Step, ...], axis: Axis, key: str) -> tuple[Step, ...]:
    own = next((step for step in axis.steps if step.key == key), None)
    return steps if own is None else with_step(steps, own)


def _promising(seen: list[tuple[SetSearch, Candidate]], order: Order) -> list[tuple[SetSearch, Candidate]]:
    """Those near the best in dollars or in seconds, the best first."""
    usd = min((point_of(each).usd for _, each in seen), default=math.inf)
    seconds = min((each.seconds for _, each in seen), default=math.inf)
    near = [
        pair for pair in seen if point_of(pair[1]).usd <= usd * WITHIN or pair[1].seconds <= seconds * WITHIN
    ]
    return sorted(near, key=lambda pair: KEYS[order](pair[1]))
