"""Work that is begun again when its machine is lost: expectations, each derived in docs/cluster-plans.md.

A machine is taken away at times of a Poisson process of `rate` a second while it works. What its replicas had
in hand is lost; `back` seconds later another machine works. A partition takes `seconds` without interruption.
"""

from __future__ import annotations

from math import expm1, inf

_MOST = 700.0
"""exp of more is no number."""
_LEAST = 1e-3
"""Chances below it count for nothing."""


def expected_seconds(seconds: float, rate: float, back: float) -> float:
    """From a replica's taking a partition until it is whole, replacements of its machine included:
    (exp(rate x seconds) - 1)(1 / rate + back); infinite where it would hardly ever be."""
    losses = rate * seconds
    if losses == 0:
        return seconds
    if losses > _MOST:
        return inf
    return expm1(losses) / losses * seconds * (1 + rate * back)


def missed_seconds(back: float, whole: float, others: float) -> float:
    """Of the `back` seconds until a machine is replaced, those that cost work, in the mean, for a machine
    lost at any time of `whole` seconds, while the others do `others` of all work.

    With y seconds to go they would end without it after y / others. So it is the mean of min(back, y /
    others): back - others back^2 / (2 whole), and half of whole / others where a replacement takes as long.
    """
    if not whole:
        return 0.0
    missed = min(back, whole / others) if others else back
    return missed - others * missed * missed / (2 * whole)


def lost_seconds(seconds: float, rate: float) -> float:
    """Of work that is done again, in the mean for each whole partition."""
    return expected_seconds(seconds, rate, 0.0) - seconds


def attempts_lost(seconds: float, rate: float) -> float:
    """How often a partition is begun in vain, in the mean."""
    return expm1(min(rate * seconds, _MOST))


def expected_largest(mean: float) -> float:
    """The mean of the largest of a Poisson number of values anywhere between 0 and 1, 0 where there are none:
    1 - (1 - exp(-mean)) / mean."""
    return 1 + expm1(-mean) / mean if mean > _LEAST * _LEAST else mean / 2


def later_at_the_end(seconds: float, rate: float, at_work: float) -> float:
    """How much later the last partition is whole because some are lost when no other waits, in partitions, in
    the mean; `at_work` machines have one in hand then.

    `at_work` times chance are lost, and taken up at once by who has nothing to do. Of a Poisson number of
    them, of mean k, the latest comes 1 - (1 - exp(-k)) / k into its partition: the expected largest of so
    many uniform numbers. Of those again a share is lost; they began before that latest one, so that each
    further time counts for half of the one before: an approximation, held against events one by one by
    benchmarks/cluster_simulation.py.
    """
    chance = -expm1(-rate * seconds)
    later, weight, lost = 0.0, 1.0, at_work * chance
    while weight * lost > _LEAST and chance < 1:
        later += weight * expected_largest(lost)
        weight, lost = weight / 2, lost * chance
    return inf if chance >= 1 else later
