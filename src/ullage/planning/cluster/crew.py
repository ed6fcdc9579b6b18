"""Replicas of a cluster that are alike: how long each has with a partition, and what all do in a second."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ullage.planning.cluster.interruptions import expected_seconds
from ullage.planning.cluster.passes import Passes


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
