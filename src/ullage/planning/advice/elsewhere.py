"""The search on other cards than those that were asked for, from what was best so far."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from operator import attrgetter
from typing import Final

from ullage.facts.gpu import GpuSet
from ullage.planning.advice.card_sets import Room, cards_named, holds_less, other_sets, usd_per_hour
from ullage.planning.advice.entry import Order
from ullage.planning.advice.front import KEYS, point_of
from ullage.planning.advice.ladder import times_larger
from ullage.planning.advice.pace import Reckoning, pace_of
from ullage.planning.advice.set_search import SetSearch
from ullage.planning.advice.step import Axis, Step
from ullage.planning.advice.trials import Candidate, Trials

Axes = Callable[[GpuSet], tuple[Axis, ...]]
Seen = list[tuple[SetSearch, Candidate]]
"""Sets that were looked at, each with its fastest so far."""
SLACK: Final = 2.0
"""How much faster than the bound says a set may be, for what has room there and nowhere else."""
SETS_BY_USUAL: Final = 10
"""Sets on which what usually is good is tried beside what was best so far."""
SETS_BY_TIME: Final = 4
"""Sets that a bound lets be the fastest alone, and not the cheapest, which are looked at unless time is asked
for."""
SETS_AT_ONCE: Final = 4
"""Sets on which what was good elsewhere is planned before batches are raised, on the best of these first."""
PATIENCE: Final = 12
"""Sets on which nothing was better than what was known, after which those that were seen are looked at more
closely: they come in the order of their promise."""
SHARE_TO_LOOK: Final = 0.8
"""Of what is left for other cards, to look at each of them; the rest is for the best ones."""
LEAST_SHARE: Final = 0.6
"""Of that rest for the best of them, however many there are."""
CLOSELY: Final = 5
"""Sets that are looked at more closely, and the one on which it is fastest."""
NEARLY: Final = 2.0
"""Sets that likely cost no more than so many times the best are asked again about what is best by now."""
ENOUGH: Final = 0.8
"""Share of the least that anything took elsewhere below which a set is not tried."""
WITHIN: Final = 2.0
"""A set whose first setting costs more than so many times the best, or takes longer where time is asked for,
is not looked at more closely."""


class Elsewhere:
    """Sets of cards, the most promising first: a look at each, then the best of them more closely.

    A role works on all cards `together` already, or may (`splits`): what is best tells, once that was tried.
    Sets that nothing fitted are asked again where something else is best by then.
    """

    def __init__(
        self, trials: Trials, gpus: GpuSet, order: Order, axes: Axes, together: bool, splits: bool
    ) -> None:
        self._trials, self._gpus, self._order, self._axes = trials, gpus, order, axes
        self._reckoning, self._together = Reckoning(trials, together or splits), together
        self._taken: dict[str, bool] = {}
        self._looked = self._by_time = 0
        self._failed: list[GpuSet] = []
        self._failed_by: list[tuple[Step, ...]] = []
        self._left: list[GpuSet] = []
        self._passed: list[GpuSet] = []
        self._done: set[GpuSet] = set()
        self._closely: set[GpuSet] = set()
        self._seen: Seen = []
        peaks = [each.outcome.peak for each in trials.found if each.possible]
        least = min((peak.low for peak in peaks), default=0)
        self._room = Room(least, trials.plan(gpus).outcome.peak.high)
        self._fits = trials.plan(gpus).fits
        self._named = cards_named(trials.workload)
        self._ordered: list[GpuSet] = []
        self._ordered_by: tuple[Room, Candidate | None] | None = None

    @property
    def _telling(self) -> Candidate | None:
        """What is best so far, where that tells of other cards."""
        tells = self._together or self._looked or self._fits
        return self._trials.best.cheapest if tells else None

    def _likely(self, gpus: GpuSet) -> float:
        """Seconds there, as far as what is best so far tells."""
        return self._reckoning.likely(self._telling, gpus)

    def search(self) -> list[GpuSet]:
        """Gives the sets that it did not come to."""
        trials = self._trials
        self._left = self._sets()
        while self._left and not trials.over:
            self._ask_again()
            with trials.within(SHARE_TO_LOOK):
                self._look_on()
            likely = [pair for pair in self._seen if self._is_likely([pair[0].gpus], NEARLY)]
            self._seen = [*self._again(likely), *(pair for pair in self._seen if pair not in likely)]
            self._look_closely(self._again(_promising(self._seen, self._order)))
            self._left = self._sets()
        _as_it_is(trials, self._gpus, self._named)
        return [*self._passed, *self._left]

    def _look_on(self) -> None:
        """At further sets, until nothing better was found on so many."""
        best, stale = self._trials.best, 0
        while self._left and not self._trials.over and (stale < PATIENCE or self._is_likely(self._left)):
            some, self._left = self._left[:SETS_AT_ONCE], self._left[SETS_AT_ONCE:]
            self._done.update(some)
            before, looked = (best.cheapest, best.lossy), self._looked
            self._seen += self._look(some)
            stale = stale + self._looked - looked if before == (best.cheapest, best.lossy) else 0
            self._left = self._sets()

    def _look_closely(self, near: Seen) -> None:
        """At these one after the other, the best by then first."""
        while near and not self._trials.over:
            there, _ = near.pop(0)
            self._closely.add(there.gpus)
            with self._trials.within(max(1 / (len(near) + 1), LEAST_SHARE)):
                there.closely()
            near = self._again(near)

    def _ask_again(self) -> None:
        """Of sets that nothing fitted where that was something else than what is best now."""
        best = _best_so_far(self._trials)
        if best != self._failed_by:
            self._done.difference_update(self._failed)
            self._failed, self._failed_by, self._left = [], best, self._sets()

    def _is_likely(self, some: Iterable[GpuSet], by: float = 1.0) -> bool:
        """Whether one of these costs less than so many times the best, were it as fast as others tell."""
        best, prices = self._trials.best.cheapest, self._trials.prices
        if self._order == "time" or best is None or best.usd is None:
            return False
        most = best.usd * by * 3600
        return any(usd_per_hour(each, prices) * self._likely(each) < most for each in some)

    def _sets(self) -> list[GpuSet]:
        """Those that are left, without those that have far less than the least that anything took on other
        cards, where none waits beside these: they come back where something takes less by then."""
        least = self._trials.best.least_taken(self._gpus)
        room = self._room._replace(least=min(self._room.least, least or self._room.least))
        if self._ordered_by != (room, self._telling):
            found = other_sets(self._gpus, room, self._order, self._likely, self._trials.prices)
            self._ordered = [each for each in found if len(each.gpus) >= self._named]
            self._ordered_by = room, self._telling
        enough = least * ENOUGH
        return [each for each in self._ordered if each not in self._done and each.usable_bytes >= enough]

    def _look(self, some: Iterable[GpuSet]) -> Iterator[tuple[SetSearch, Candidate]]:
        """What was good elsewhere on each of these; then batches are raised, on the best first."""
        trials = self._trials
        glanced: list[tuple[SetSearch, list[Candidate]]] = []
        for other in some:
            if trials.over:
                self._passed.append(other)
            elif self._is_worth(other):
                there = SetSearch(trials, other, self._axes(other))
                usual = there.usual(self._taken) if self._looked < SETS_BY_USUAL else []
                tried = there.glance([*_best_so_far(trials), *usual])
                self._looked += any(each.possible for each in tried)
                glanced.append((there, tried))
        for there, tried in sorted(glanced, key=lambda pair: _promise(pair[1], self._order)):
            cheaper, faster = self._hopes(there.gpus)
            if not trials.over and (cheaper or faster):
                found = min((each for each in tried if each.fits), key=KEYS["time"], default=None)
                if found is None or cheaper or self._order == "time":
                    found = there.from_others([*_best_so_far(trials), *(each.steps for each in tried)])
                if found is not None:
                    yield there, found
                elif any(each.possible for each in tried) and not any(each.fits for each in tried):
                    self._failed.append(there.gpus)

    def _again(self, near: Seen) -> Seen:
        """The same with what is best by now, of which some knew nothing when they were looked at."""
        found = []
        for there, best in near:
            if there.gpus in self._closely:
                continue
            tried = [] if self._trials.over else there.glance(_best_so_far(self._trials))
            found.append((there, min((best, *(each for each in tried if each.fits)), key=KEYS[self._order])))
        return sorted(found, key=lambda pair: KEYS[self._order](pair[1]))

    def _is_worth(self, gpus: GpuSet) -> bool:
        """Whether a set is looked at."""
        if any(holds_less(gpus, other) for other in self._failed):
            self._failed.append(gpus)
            return False
        cheaper, faster = self._hopes(gpus)
        if not (cheaper or faster):
            return False
        self._by_time += not cheaper
        return cheaper or self._order == "time" or self._by_time <= SETS_BY_TIME

    def _hopes(self, gpus: GpuSet) -> tuple[bool, bool]:
        """Whether a bound lets anything on these cards be cheaper, and faster, than the best so far without
        loss: were they as fast as they are in what they do best, and twice that for what fits them alone."""
        best = self._trials.best
        if best.cheapest is None or best.fastest is None:
            return True, True
        price, usd = self._trials.prices.of(gpus), best.cheapest.usd
        ladders = [axis for axis in self._axes(gpus) if axis.ladder]
        least = (
            self._reckoning.least(each, gpus, times_larger(each.steps, ladders))
            for each in (best.cheapest, best.fastest)
        )
        seconds = min(least) / SLACK
        dearer = price is None or usd is None or price.usd_per_hour * seconds / 3600 >= usd
        return not dearer, seconds < best.fastest.seconds


def _as_it_is(trials: Trials, gpus: GpuSet, named: int) -> None:
    """The unchanged workload on every set of at least so many cards where a bound allows it to be the
    cheapest, so that no list of sets that hold it has a cheaper one: work takes as long as on the own cards,
    which worked in turn or waited for one another, but for what these do faster. What waits beside small
    cards says nothing of larger ones."""
    base = trials.plan(gpus)
    elastic = trials.elastic
    as_it_is = [base, *(each for each in trials.found if each.possible and not each.steps and not each.open)]
    tried = [] if elastic else as_it_is[1:]
    best = min(
        (usd for each in trials.found if each.fits and not each.open and (usd := each.usd) is not None),
        default=math.inf,
    )
    for hourly, other in trials.prices.sets():
        roomy = other.abilities.has_kernels and other.usable_bytes >= _least(tried, elastic)
        roomy = roomy and len(other.gpus) >= named
        told = [max(as_it_is, key=lambda each: each.outcome.peak.low)] if elastic else as_it_is
        if roomy and all(hourly * _least_seconds(each, other) / 3600 < best for each in told):
            then = trials.plan(other)
            tried += [then] if then.possible else []
            as_it_is += [then] if then.possible and not then.open else []
            if then.fits and not then.open and then.usd is not None:
                best = min(best, then.usd)


def _least_seconds(one: Candidate, other: GpuSet) -> float:
    """Of what `one` does on its cards, on others."""
    share = pace_of(other, True).share_of(pace_of(one.gpus, True)) / len(one.gpus.gpus)
    return one.seconds * min(share, 1.0)


def _least(tried: list[Candidate], elastic: bool) -> float:
    """Bytes that a setting takes of any cards, as far as those tell on which it was `tried`, cheap ones
    first: were one of these full while the others are empty; where it is `elastic`, what it took of the
    smallest."""
    if elastic:
        return ENOUGH * min((each.outcome.peak.low for each in tried), default=0)
    return max((each.outcome.peak.low / len(each.gpus.gpus) for each in tried), default=0)


def _best_so_far(trials: Trials) -> list[tuple[Step, ...]]:
    """Steps of the cheapest without loss, and at all."""
    found = (trials.best.mildest, trials.best.lossy)
    return [*dict.fromkeys(each.steps for each in found if each is not None)]


def _promise(tried: list[Candidate], order: Order) -> tuple[float, ...]:
    """What looks best first: the best of what fits, then what is least too large."""
    fitting = [KEYS[order](each) for each in tried if each.fits]
    return (0, *min(fitting)) if fitting else (1, min(each.outcome.over for each in tried))


def _promising(seen: Seen, order: Order) -> Seen:
    """Those near the best in what is asked for, the best first, and the one on which it is fastest."""
    whole = [each for _, each in seen if not each.open] or [each for _, each in seen]
    asked = attrgetter("seconds" if order == "time" else "usd")
    least = min((asked(point_of(each)) for each in whole), default=math.inf)
    near = [pair for pair in seen if asked(point_of(pair[1])) <= least * WITHIN]
    near.sort(key=lambda pair: KEYS[order](pair[1]))
    fastest = sorted(seen, key=lambda pair: KEYS["time"](pair[1]))[:1]
    return list(dict(near[:CLOSELY] + fastest).items())
