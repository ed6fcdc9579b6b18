"""How many records a partition has: the size with which all of them are soonest done."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, exp, inf
from typing import Final, NamedTuple

from ullage.planning.cluster.interruptions import expected_seconds, later_at_the_end, missed_seconds

STEP: Final = 1.05
"""Sizes that are tried lie this factor apart."""


class Crew(NamedTuple):
    """Replicas that are alike: how many, on how many machines, seconds of a record in the steady state,
    seconds that each partition takes beside its records, interruptions a second of a machine, and the seconds
    until it is replaced."""

    replicas: int
    machines: int
    record: float
    beside: float
    rate: float
    back: float

    def partition(self, records: int) -> float:
        """Seconds of one without interruption."""
        return self.beside + records * self.record

    def expected(self, records: int) -> float:
        """Seconds of one with what is begun again."""
        return expected_seconds(self.partition(records), self.rate, self.back)


def steady_rate(crews: Sequence[Crew], records: int) -> float:
    """Records a second of all replicas together."""
    return sum(crew.replicas * records / crew.expected(records) for crew in crews)


def wall_seconds(crews: Sequence[Crew], records: int, examples: int) -> float:
    """From the first partition's beginning to the last one's end."""
    at_once = steady_rate([crew._replace(back=0.0) for crew in crews], records)
    if not at_once:
        return inf
    crews = [crew._replace(back=missed_seconds(crew.back, examples / at_once)) for crew in crews]
    rate = steady_rate(crews, records)
    if not rate:
        return inf
    busy = examples / rate
    if len(crews) > 1:
        return busy + max(_tail(crew, records, busy) for crew in crews)
    (crew,) = crews
    seconds, rounds = crew.partition(records), examples / records / crew.replicas
    whole = ceil(ceil(examples / records) / crew.replicas)
    never = exp(-crew.rate * crew.machines * whole * seconds)  # no machine is taken away at all
    return busy + never * (whole - rounds) * seconds + (1 - never) * _tail(crew, records, busy)


def _tail(crew: Crew, records: int, busy: float) -> float:
    """Seconds in which fewer and fewer of them have something to do, after `busy` ones in which all had.

    Replicas that no interruption met begin and end their partitions together, and what is left over waits for
    all of their last ones; the others are anywhere in theirs, half a partition from its end in the mean.
    Replicas beside others of another speed are never together.
    """
    seconds = crew.partition(records)
    if seconds == inf or busy == inf:
        return inf
    together = exp(-crew.rate * busy) if crew.rate else 0.0
    rounds = busy / seconds
    left = ceil(rounds) - rounds
    in_step = left + later_at_the_end(seconds, crew.rate, crew.machines * (1 - left))
    apart = 0.5 + later_at_the_end(seconds, crew.rate, crew.machines / 2)
    return (together * in_step + (1 - together) * apart) * seconds


def best_partition(crews: Sequence[Crew], examples: int, batch: int) -> int:
    """The number of records, whole batches of them, with which `examples` are soonest done when one replica
    has half the speed of the others, whose last partition then takes that much longer. As all machines are
    paid until then, it is also the cheapest. Fewer lose less when a machine goes and keep nobody waiting at
    the end; more share out what each partition takes beside its records."""

    def late(records: int) -> float:
        return wall_seconds(crews, records, examples) + max(crew.partition(records) for crew in crews)

    most = max(ceil(examples / sum(crew.replicas for crew in crews) / batch), 1)
    tried, size = [], 1.0
    while size < most:
        tried.append(ceil(size))
        size = max(size * STEP, size + 1)
    tried.append(most)
    sizes = dict.fromkeys(batches * batch for batches in tried)
    return min(sizes, key=lambda records: (late(records), -records))
