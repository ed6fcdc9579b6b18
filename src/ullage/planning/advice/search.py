"""The search: on the own cards by every family of changes, then on others from what was best so far."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Final

from ullage.facts.gpu import GpuSet
from ullage.planning.advice.card_sets import Room, bytes_of, least_share, other_sets
from ullage.planning.advice.entry import Order
from ullage.planning.advice.front import KEYS, point_of
from ullage.planning.advice.set_search import SetSearch
from ullage.planning.advice.step import Axis, Step
from ullage.planning.advice.trials import Candidate, Trials
from ullage.spec.role import Role

Axes = Callable[[GpuSet], tuple[Axis, ...]]
SHARE_OF_OWN: Final = 0.5
"""Of what a search may take, for the cards that were asked for."""
SHARE_TO_FIT: Final = 0.3
"""The same where it does not fit them as it is."""
SLACK: Final = 2.0
"""How much faster than the bound says a set may be, for what has room there and nowhere else."""
SETS_BY_USUAL: Final = 10
"""Sets on which what usually is good is tried beside what was best so far."""
SETS_AT_ONCE: Final = 8
"""Sets on which what was good elsewhere is planned before batches are raised, on the best of these first."""
SHARE_TO_LOOK: Final = 0.8
"""Of what is left for other cards, to look at each of them; the rest is for the best ones."""
LEAST_SHARE: Final = 0.4
"""Of that rest for the best of them, however many there are."""
ENOUGH: Final = 0.8
"""Share of the least that anything took elsewhere below which a set is not tried."""
WITHIN: Final = 2.0
"""A set whose first setting costs more, and takes longer, than so many times the best is not looked at more
closely."""


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
    taken: dict[str, bool] = {}
    looked = 0
    sets = iter(other_sets(gpus, room, order, together, trials.prices))
    with trials.within(SHARE_TO_LOOK):
        while some := list(islice(sets, SETS_AT_ONCE)):
            glanced: list[tuple[SetSearch, list[Candidate]]] = []
            for other in some:
                if trials.over:
                    yield other
                elif not _is_hopeless(other, trials, together) and not _is_small(other, gpus, trials):
                    there = SetSearch(trials, other, axes(other))
                    usual = there.usual(taken) if looked < SETS_BY_USUAL else []
                    looked += 1
                    glanced.append((there, there.glance([*_best_so_far(trials), *usual])))
            for there, tried in sorted(glanced, key=lambda pair: _promise(pair[1], order)):
                if not trials.over and not _is_hopeless(there.gpus, trials, together):
                    found = there.from_others([*_best_so_far(trials), *(each.steps for each in tried)])
                    seen += [] if found is None else [(there, found)]
    near = _promising(seen, order)
    for count, (there, _) in enumerate(near):
        with trials.within(max(1 / (len(near) - count), LEAST_SHARE)):
            if not trials.over:
                there.closely()
    _as_it_is(trials, gpus)


def _as_it_is(trials: Trials, gpus: GpuSet) -> None:
    """The unchanged workload on every set where a bound allows it to be the cheapest, so that no list of sets
    that hold it has a cheaper one: work takes as long as on the own cards, which worked in turn or waited for
    one another, but for what these do faster."""
    base = trials.plan(gpus)
    elastic = any(_is_elastic(role) for role in trials.workload.roles.values())
    tried = [] if elastic else [each for each in trials.found if each.possible and not each.steps]
    best = min(
        (usd for each in trials.found if each.fits and not each.open and (usd := each.usd) is not None),
        default=math.inf,
    )
    for usd_per_hour, other in trials.prices.sets():
        roomy = other.abilities.has_kernels and bytes_of(other) >= _least(tried, elastic)
        seconds = base.seconds * min(least_share(other, gpus, together=True) / len(gpus.gpus), 1.0)
        if roomy and usd_per_hour * seconds / 3600 < best:
            then = trials.plan(other)
            tried += [then] if then.possible else []
            if then.fits and not then.open and then.usd is not None:
                best = min(best, then.usd)


def _is_elastic(role: Role) -> bool:
    """Whether it takes more of a larger card: an engine with a cache of its own, or what may wait beside."""
    held = role.max_memory is not None or role.device_map is not None
    return held or role.runs_with.memory == "own cache"


def _least(tried: list[Candidate], elastic: bool) -> float:
    """Bytes that a setting takes of any cards, as far as those tell on which it was `tried`, cheap ones
    first: were one of these full while the others are empty; where it is `elastic`, what it took of the
    smallest."""
    if elastic:
        return ENOUGH * min((each.outcome.peak.low for each in tried), default=0)
    return max((each.outcome.peak.low / len(each.gpus.gpus) for each in tried), default=0)


def _is_small(gpus: GpuSet, own: GpuSet, trials: Trials) -> bool:
    """Whether it has far less than the least that anything took on other cards: none waits beside these."""
    return bytes_of(gpus) < trials.best.least_taken(own) * ENOUGH


def _is_hopeless(gpus: GpuSet, trials: Trials, together: bool) -> bool:
    """Whether a bound says that nothing on these cards is cheaper, or faster, than the best so far without
    loss: were they as fast as they are in what they do best, and twice that for what fits them alone."""
    cheapest, fastest = trials.best.cheapest, trials.best.fastest
    if cheapest is None or fastest is None:
        return False
    price, usd = trials.prices.of(gpus), cheapest.usd
    shares = (each.seconds * least_share(gpus, each.gpus, together) for each in (cheapest, fastest))
    seconds = min(shares) / SLACK
    dearer = price is None or usd is None or price.usd_per_hour * seconds / 3600 >= usd
    return dearer and seconds >= fastest.seconds


def _best_so_far(trials: Trials) -> list[tuple[Step, ...]]:
    """Steps of the cheapest without loss, and at all."""
    found = (trials.best.mildest, trials.best.lossy)
    return [*dict.fromkeys(each.steps for each in found if each is not None)]


def _promise(tried: list[Candidate], order: Order) -> tuple[float, ...]:
    """What looks best first: the best of what fits, then what is least too large."""
    fitting = [KEYS[order](each) for each in tried if each.fits]
    return (0, *min(fitting)) if fitting else (1, min(each.outcome.over for each in tried))


def _promising(seen: list[tuple[SetSearch, Candidate]], order: Order) -> list[tuple[SetSearch, Candidate]]:
    """Those near the best in dollars or in seconds, the best first."""
    whole = [each for _, each in seen if not each.open] or [each for _, each in seen]
    usd = min((point_of(each).usd for each in whole), default=math.inf)
    seconds = min((each.seconds for each in whole), default=math.inf)
    near = [
        pair for pair in seen if point_of(pair[1]).usd <= usd * WITHIN or pair[1].seconds <= seconds * WITHIN
    ]
    return sorted(near, key=lambda pair: KEYS[order](pair[1]))
