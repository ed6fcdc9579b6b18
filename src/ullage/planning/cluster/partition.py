"""How many records a partition has: the size with which all of them are soonest done."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, exp, floor, inf
from typing import Final, NamedTuple

from ullage.planning.cluster.interruptions import (
    expected_largest,
    expected_seconds,
    later_at_the_end,
    missed_seconds,
)
from ullage.planning.cluster.passes import Passes

STEP: Final = 1.05
"""Sizes that are tried lie this factor apart."""
ROUNDS: Final = 3
"""How often the whole is reckoned with replacements that take the longer, the longer the whole is."""


class Crew(NamedTuple):
    """Replicas that are alike: how many, on how many machines, the passes of their records and which end of
    these estimates holds, seconds in which a machine's network or disk carries a record of one, seconds that
    each partition takes beside its records, interruptions a second of a machine, and the seconds until it is
    replaced."""

    replicas: int
    machines: int
    passes: tuple[Passes, ...]
    end: int
    carried: float
    beside: float
    rate: float
    back: float

    def partition(self, records: int) -> float:
        """Seconds of one without interruption."""
        passes = sum(each.of(records) * each.seconds[self.end] for each in self.passes)
        return self.beside + max(passes, records * self.carried)

    def expected(self, records: int) -> float:
        """Seconds of one with what is begun again."""
        return expected_seconds(self.partition(records), self.rate, self.back)


def steady_rate(crews: Sequence[Crew], records: int) -> float:
    """Records a second of all replicas together."""
    return sum(crew.replicas * records / crew.expected(records) for crew in crews)


def while_at_work(crews: Sequence[Crew], records: int, examples: int) -> list[Crew]:
    """The same, of the seconds until a machine is replaced those alone that cost work."""
    found = [crew._replace(back=0.0) for crew in crews]
    for _ in range(ROUNDS):
        rates = [steady_rate([crew], records) for crew in found]
        rate = sum(rates)
        if not rate:
            break
        others = [max(1 - each / crew.machines / rate, 0.0) for crew, each in zip(crews, rates, strict=True)]
        found = [
            crew._replace(back=missed_seconds(crew.back, examples / rate, part))
            for crew, part in zip(crews, others, strict=True)
        ]
    return found


def wall_seconds(crews: Sequence[Crew], records: int, examples: int) -> float:
    """From the first partition's beginning to the last one's end."""
    crews = while_at_work(crews, records, examples)
    rate = steady_rate(crews, records)
    if not rate:
        return inf
    busy, calm = examples / rate, _calm_seconds(crews, records, examples)
    waits = calm - examples / steady_rate([crew._replace(rate=0.0) for crew in crews], records)
    never = exp(-calm * sum(crew.rate * crew.machines for crew in crews))  # no machine is taken away at all
    tail = _tail(crews[0], records, busy) if len(crews) == 1 else _tail_of_kinds(crews, records, busy)
    return busy + never * waits + (1 - never) * tail


def _calm_seconds(crews: Sequence[Crew], records: int, examples: int) -> float:
    """The whole without a loss. Replicas that are alike keep step: when the last partition is begun, T after
    the first, each has begun floor(T / t) + 1 of t seconds, and T is the first time at which these are all;
    whoever ends last what was begun by then is waited for."""
    partitions, times = ceil(examples / records), [crew.partition(records) for crew in crews]

    def rounds(until: float) -> list[int]:
        return [floor(until / each * (1 + 1e-12)) + 1 for each in times]

    def begun(until: float) -> int:
        return sum(crew.replicas * each for crew, each in zip(crews, rounds(until), strict=True))

    if len(crews) == 1:
        return ceil(partitions / crews[0].replicas) * times[0]
    early, late = 0.0, partitions / sum(crew.replicas / each for crew, each in zip(crews, times, strict=True))
    if begun(early) >= partitions:
        late = early
    while late - early > 1e-9 * late:
        middle = (early + late) / 2
        early, late = (early, middle) if begun(middle) >= partitions else (middle, late)
    return max(each * seconds for each, seconds in zip(rounds(late), times, strict=True))


def _tail(crew: Crew, records: int, busy: float) -> float:
    """Seconds in which fewer and fewer of them have something to do, after `busy` ones in which all had.

    Replicas that no interruption met begin and end their partitions together, and what is left over waits for
    all of their last ones. The others are anywhere in theirs, half a partition from its end in the mean, when
    one of them begins the last.
    """
    seconds = crew.partition(records)
    if seconds == inf or busy == inf:
        return inf
    together = exp(-crew.rate * busy)
    rounds = busy / seconds
    left = ceil(rounds) - rounds
    in_step = left + later_at_the_end(seconds, crew.rate, crew.machines * (1 - left))
    apart = (1 - 1 / crew.replicas) / 2 + later_at_the_end(seconds, crew.rate, crew.machines / 2)
    return (together * in_step + (1 - together) * apart) * seconds


def _tail_of_kinds(crews: Sequence[Crew], records: int, busy: float) -> float:
    """The same of replicas beside others of another speed. When the last partition is begun each has half of
    one to do, which all together do in half of their mean time; the slowest is waited for, which has a whole
    one to do, or, where no interruption met its kind, what is left of the one that all of it do."""
    times = [crew.partition(records) for crew in crews]
    if inf in times or busy == inf:
        return inf
    rate = sum(crew.replicas / seconds for crew, seconds in zip(crews, times, strict=True))
    half = min(sum(crew.replicas for crew in crews) / rate / 2, busy)
    longest = 0.0
    for crew, seconds in zip(crews, times, strict=True):
        rounds = (busy - half) / seconds
        left = floor(rounds) + 1 - rounds
        apart = crew.machines * crew.rate * max(busy - half - crew.back, 0.0)
        left += (1 - left) * expected_largest(apart * (1 - left))
        later = later_at_the_end(seconds, crew.rate, crew.machines / 2)
        longest = max(longest, seconds * (left + later))
    return max(longest - half, 0.0)


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
