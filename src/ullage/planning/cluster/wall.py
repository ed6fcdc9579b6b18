"""Seconds from the first partition's beginning to the last one's end: expectations, each derived in
docs/cluster-plans.md and held against events one by one by benchmarks/cluster_simulation.py."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, exp, expm1, floor, inf
from typing import Final

from ullage.planning.cluster.crew import Crew, steady_rate
from ullage.planning.cluster.interruptions import expected_largest, later_at_the_end, missed_seconds

ROUNDS: Final = 3
"""How often the whole is reckoned with replacements that take the longer, the longer the whole is."""


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
    """From the first partition's beginning to the last one's end; infinite where that is hardly ever."""
    partitions, alone = ceil(examples / records), sum(crew.machines for crew in crews) == 1
    crews = _with_work(while_at_work(crews, records, examples), partitions)
    rate = steady_rate(crews, records)
    if not rate:
        return inf
    if alone:  # its replicas begin together, also after a loss
        return ceil(partitions / crews[0].replicas) * crews[0].expected(records)
    if len(crews) == 1 and partitions <= crews[0].replicas:
        return _one_round(crews[0], records, partitions)
    busy = examples / rate
    calm_busy = examples / steady_rate([crew._replace(rate=0.0) for crew in crews], records)
    if len(crews) > 1:
        return _whole_of_kinds(crews, records, partitions, busy - calm_busy)
    (crew,) = crews
    calm = ceil(partitions / crew.replicas) * crew.partition(records)
    never = exp(-calm * crew.rate * crew.machines)  # no machine is taken away at all
    left, later = _end_of_one_kind(crew, records, busy)
    return busy + never * (calm - calm_busy) + (1 - never) * left + later


def _with_work(crews: Sequence[Crew], partitions: int) -> list[Crew]:
    """Without the machines for which there is no partition."""
    part = min(partitions / sum(crew.replicas for crew in crews), 1.0)
    return [crew._replace(machines=ceil(crew.machines * part)) for crew in crews]


def _one_round(crew: Crew, records: int, partitions: int) -> float:
    """The whole where all partitions are begun at once. What is lost is begun again by who has nothing to do;
    where these are fewer than losses need, by who is first: the machine that comes back, or the others once
    their round is over."""
    seconds = crew.partition(records)
    lost = crew.machines * -expm1(-crew.rate * seconds)
    later = later_at_the_end(seconds, crew.rate, crew.machines)
    if lost and crew.replicas - partitions < max(lost, 1) * partitions / crew.machines:
        any_lost = -expm1(-lost)
        begun = min(expected_largest(lost) + any_lost * crew.back / seconds, any_lost)
        later = begun + later_at_the_end(seconds, crew.rate, lost)
    # Where hardly any is whole at once, attempts follow one another without end.
    return max(seconds * (1 + later), crew._replace(back=0.0).expected(records))


def _end_of_one_kind(crew: Crew, records: int, busy: float) -> tuple[float, float]:
    """Seconds in which fewer and fewer of them have something to do, after `busy` ones in which all had, and
    those by which what is lost then makes it later.

    Replicas that no interruption met begin and end their partitions together, and what is left over waits for
    all of their last ones. The others are anywhere in theirs, half a partition from its end in the mean, when
    one of them begins the last.
    """
    seconds = crew.partition(records)
    together = exp(-crew.rate * busy)
    rounds = busy / seconds
    left = ceil(rounds) - rounds
    at_work = crew.machines * (together * (1 - left) + (1 - together) / 2)
    apart = (1 - 1 / crew.replicas) / 2
    later = later_at_the_end(seconds, crew.rate, at_work)
    return (together * left + (1 - together) * apart) * seconds, later * seconds


def _whole_of_kinds(crews: Sequence[Crew], records: int, partitions: int, lost: float) -> float:
    """The whole of replicas beside others of another speed, which losses keep busy for `lost` seconds more.

    When the last partition is begun, each has still to do what is left of its own, and the slowest is waited
    for. Of a kind that no interruption met all do the same; of machines that came back since the beginning
    the last is anywhere in its own, up to a whole one from its end. What is lost then is done by any.
    """
    times = [crew.partition(records) for crew in crews]
    replicas = [crew.replicas for crew in crews]
    last = _last_begun(replicas, times, partitions) + lost
    mean = sum(replicas) / sum(count / seconds for count, seconds in zip(replicas, times, strict=True))
    longest = 0.0
    for crew, seconds in zip(crews, times, strict=True):
        left = _rounds(last, seconds) - last / seconds
        apart = crew.machines * crew.rate * max(last - crew.back, 0.0)
        left += (1 - left) * expected_largest(apart * (1 - left))
        later = later_at_the_end(seconds, crew.rate, crew.machines / 2)
        longest = max(longest, seconds * left + mean * later)
    return last + longest


def _rounds(until: float, seconds: float) -> int:
    """Partitions that a replica has begun, of so many `seconds` one after another."""
    return floor(until / seconds * (1 + 1e-12)) + 1


def _last_begun(replicas: Sequence[int], times: Sequence[float], partitions: int) -> float:
    """Seconds until the last partition is begun where nothing is lost and each goes to who is free: the first
    at which all kinds together have begun so many."""

    def begun(until: float) -> int:
        return sum(count * _rounds(until, each) for count, each in zip(replicas, times, strict=True))

    early, late = 0.0, partitions / sum(count / each for count, each in zip(replicas, times, strict=True))
    if begun(early) >= partitions:
        return early
    while late - early > 1e-9 * late:
        middle = (early + late) / 2
        early, late = (early, middle) if begun(middle) >= partitions else (middle, late)
    return late
