"""The Pareto front of what was found, and which of it is shown."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Final, NamedTuple

from ullage.planning.advice.entry import Order

if TYPE_CHECKING:
    from ullage.planning.advice.trials import Candidate

ROUNDING: Final = 1e-9
NEXT: Final = 1.03
"""What is dearer, or slower, by no more than that is as cheap and as fast, where it loses less quality; and
as fast, where it is cheaper by more."""
WORTH: Final = 10.0
"""Of quality: a loss of 0.03 counts as a third more dollars or seconds where entries are chosen to differ."""
SHOWN: Final = 5
"""Entries on the own cards, and as many on others."""


class Point(NamedTuple):
    """What counts of a candidate; dollars and seconds of 1000 examples, of all that is known where it is
    `open`: that is as good as no other's, and worse than none's."""

    loss: float
    usd: float
    seconds: float
    open: bool = False


def point_of(candidate: Candidate) -> Point:
    """Without a price dollars are beyond all others."""
    usd = math.inf if candidate.usd is None else candidate.usd
    return Point(candidate.loss, usd, candidate.seconds, candidate.open)


def beats(one: Point, other: Point) -> bool:
    """No worse in anything, and better in something."""
    return one != other and all(a <= b * (1 + ROUNDING) for a, b in zip(one, other, strict=True))


def front(candidates: Iterable[Candidate]) -> list[Candidate]:
    """Those that no other beats; of equal ones that with the fewest changes that reads most at a time."""
    kept: dict[Point, Candidate] = {}
    for each in sorted(candidates, key=_simple):
        at = _near(point_of(each))
        if at not in kept and not any(beats(other, at) or _as_good(other, at) for other in kept):
            kept[at] = each
    return list(kept.values())


def _simple(candidate: Candidate) -> tuple[float, ...]:
    pieces = sum(step.piece for step in candidate.steps)
    return *_near(point_of(candidate)), len(candidate.steps), -pieces


def _as_good(one: Point, other: Point) -> bool:
    """Whether the other gives up quality, or dollars, for next to nothing."""
    return (
        (one.loss < other.loss or (one.loss == other.loss and one.usd * NEXT < other.usd))
        and one.open <= other.open
        and one.usd <= other.usd * NEXT
        and one.seconds <= other.seconds * NEXT
    )


def _near(point: Point) -> Point:
    """To four digits: what differs by less is the same, and the simpler of both is kept."""
    return Point(point.loss, float(f"{point.usd:.4g}"), float(f"{point.seconds:.4g}"), point.open)


def chosen(candidates: list[Candidate], order: Order) -> list[Candidate]:
    """A few of a front, in `order`: the cheapest, the fastest and the best, for each loss the cheapest, then
    those that gain most over every one of these."""
    found = list(dict.fromkeys(_first(candidates)))[:SHOWN]
    left = [each for each in candidates if each not in found]
    while left and len(found) < SHOWN:
        points = [point_of(each) for each in found]
        best = max(left, key=lambda each: min(_gain(point_of(each), point) for point in points))
        left.remove(best)
        found.append(best)
    return ordered(found, order)


def _gain(one: Point, other: Point) -> float:
    """By which power of e it is cheaper, or faster, than the other, the more of both; quality weighed in."""
    if one.open != other.open:
        return -math.inf if one.open else math.inf
    pairs = ((one.usd, other.usd), (one.seconds, other.seconds))
    ratios = (math.log(its / own) for own, its in pairs if 0 < own < math.inf and 0 < its < math.inf)
    return max(ratios, default=0.0) + (other.loss - one.loss) * WORTH


def _first(candidates: list[Candidate]) -> Iterator[Candidate]:
    if not candidates:
        return
    for key in KEYS.values():
        yield min(candidates, key=key)
    least = min(each.loss for each in candidates)
    unlossy = [each for each in candidates if each.loss == least]
    yield min(unlossy, key=KEYS["cost"])
    yield min(unlossy, key=KEYS["time"])
    for loss in sorted({each.loss for each in candidates}):
        yield min((each for each in candidates if each.loss == loss), key=KEYS["cost"])


def _by_cost(candidate: Candidate) -> tuple[float, ...]:
    loss, usd, seconds, unknown = point_of(candidate)
    return unknown, usd, loss, seconds


def _by_time(candidate: Candidate) -> tuple[float, ...]:
    loss, usd, seconds, unknown = point_of(candidate)
    return unknown, seconds, loss, usd


def _by_quality(candidate: Candidate) -> tuple[float, ...]:
    loss, usd, seconds, unknown = point_of(candidate)
    return loss, unknown, usd, seconds


KEYS: Final[dict[Order, Callable[[Candidate], tuple[float, ...]]]] = {
    "cost": _by_cost,
    "time": _by_time,
    "quality": _by_quality,
}


def ordered(candidates: Iterable[Candidate], order: Order) -> list[Candidate]:
    """What is looked for first, first."""
    return sorted(candidates, key=KEYS[order])
