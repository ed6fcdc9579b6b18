"""Shares with their intervals, and whether two that were measured on the same cases differ."""

from __future__ import annotations

import math
from typing import Final

Z: Final = 1.959963984540054
"""Standard deviations of a normal distribution within which 95 % of it lie."""


def wilson(hits: int, count: int) -> tuple[float, float] | None:
    """The score interval of 95 % for a share; None of nothing.

    Wilson 1927, Probable Inference, the Law of Succession, and Statistical Inference, JASA 22; see Brown, Cai
    and DasGupta 2001, Interval Estimation for a Binomial Proportion, Statistical Science 16.
    """
    if not count:
        return None
    share, squared = hits / count, Z * Z
    middle = (share + squared / (2 * count)) / (1 + squared / count)
    half = Z * math.sqrt(share * (1 - share) / count + squared / (4 * count * count)) / (1 + squared / count)
    return max(middle - half, 0.0), min(middle + half, 1.0)


def f1_interval(hits: int, false_alarms: int, misses: int) -> tuple[float, float] | None:
    """Of 95 % for an F1; None of nothing.

    With J the share of hits among hits, false alarms and misses, F1 is 2 J / (1 + J), which grows with J:
    Wilson's interval of J is one of F1.
    """
    found = wilson(hits, hits + false_alarms + misses)
    return None if found is None else (2 * found[0] / (1 + found[0]), 2 * found[1] / (1 + found[1]))


def mcnemar(only_one: int, only_other: int) -> float:
    """How likely it is that two that are right equally often differ so much in what one alone has right.

    The exact test, two-sided: a binomial at one half of the cases that tell them apart (McNemar 1947, Note on
    the sampling error of the difference between correlated proportions, Psychometrika 12; the exact
    conditional test of Fagerland, Lydersen and Laake 2013, BMC Medical Research Methodology 13:91).
    """
    count, fewer = only_one + only_other, min(only_one, only_other)
    if only_one == only_other:
        return 1.0
    logs = (_log_choose(count, each) - count * math.log(2) for each in range(fewer + 1))
    return min(2 * math.fsum(map(math.exp, logs)), 1.0)


def _log_choose(count: int, some: int) -> float:
    return math.lgamma(count + 1) - math.lgamma(some + 1) - math.lgamma(count - some + 1)
