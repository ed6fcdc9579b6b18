"""What an experiment of so many games can find, before it is paid for: exact, no normal approximation."""

from __future__ import annotations

import math
from bisect import bisect_left
from functools import lru_cache
from typing import Final

from ullage.measures.proportions import Z

LEVEL: Final = 0.05
"""Of the tests, two-sided."""
_NEGLIGIBLE: Final = 1e-12


def paired_power(pairs: int, first: float, second: float) -> float:
    """How likely the exact paired test (`mcnemar`) finds that shares `first` and `second` differ in so many
    pairs, of which one says nothing about the other: the least that pairing can give."""
    only_one, only_other = first * (1 - second), second * (1 - first)
    apart = only_one + only_other
    if not apart:
        return 0.0
    found = []
    for count, share in _binomial(pairs, apart):
        fewest = _critical(count)
        found += [
            share * part
            for hits, part in _binomial(count, only_one / apart)
            if min(hits, count - hits) <= fewest
        ]
    return math.fsum(found)


def unpaired_power(count: int, first: float, second: float) -> float:
    """How likely the pooled z test of two shares finds that they differ, each of so many games."""
    ones, others = list(_binomial(count, first)), list(_binomial(count, second))
    return math.fsum(
        share * part for hits, share in ones for other, part in others if _differ(hits, other, count)
    )


def _differ(one: int, other: int, count: int) -> bool:
    pooled = (one + other) / (2 * count)
    return abs(one - other) / count > Z * math.sqrt(2 * pooled * (1 - pooled) / count) > 0


@lru_cache(maxsize=4096)
def _critical(count: int) -> int:
    """The largest smaller side of so many untied pairs that the exact test still rejects; -1 where it never
    does: `mcnemar` of it is at most the level, and of one more it is not."""
    fewest, tail, part = -1, 0.0, math.ldexp(1.0, -count)
    while part and 2 * (tail + part) <= LEVEL:
        fewest, tail = fewest + 1, tail + part
        part *= (count - fewest) / (fewest + 1)
    return fewest


def smallest_found(pairs: int, first: float, power: float = 0.8) -> float | None:
    """The smallest gain on share `first`, in whole points, that `paired_power` finds with at least `power`;
    None where there is none."""
    points = range(1, 101 - math.ceil(100 * first))
    found = bisect_left(points, power, key=lambda gain: paired_power(pairs, first, first + gain / 100))
    return points[found] / 100 if found < len(points) else None


def _binomial(count: int, share: float) -> list[tuple[int, float]]:
    """Hits and their chance, but for those next to impossible."""
    if share in (0, 1):
        return [(round(count * share), 1.0)]
    logs = (
        math.lgamma(count + 1)
        - math.lgamma(hits + 1)
        - math.lgamma(count - hits + 1)
        + hits * math.log(share)
        + (count - hits) * math.log1p(-share)
        for hits in range(count + 1)
    )
    found = ((hits, math.exp(log)) for hits, log in enumerate(logs))
    return [(hits, part) for hits, part in found if part > _NEGLIGIBLE]
