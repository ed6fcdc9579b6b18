"""How many records a partition has: the size with which all of them are soonest done."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, inf
from typing import Final

from ullage.planning.cluster.crew import Crew
from ullage.planning.cluster.wall import wall_seconds

STEP: Final = 1.05
"""Sizes that are tried lie this factor apart."""


def best_partition(crews: Sequence[Crew], examples: int, batch: int) -> int:
    """The number of records, whole batches of them, with which `examples` are soonest done when one replica
    has half the speed of the others, whose last partition then takes that much longer. As all machines are
    paid until then, it is also the cheapest. Fewer lose less when a machine goes and keep nobody waiting at
    the end; more share out what each partition takes beside its records."""

    def late(records: int) -> float:
        return wall_seconds(crews, records, examples) + max(crew.partition(records) for crew in crews)

    most = max(ceil(examples / batch), 1)
    tried, size = [], 1.0
    while size < most:
        tried.append(ceil(size))
        size = max(size * STEP, size + 1)
    tried.append(most)
    sizes = dict.fromkeys(batches * batch for batches in tried)
    found = {records: late(records) for records in sizes}
    if min(found.values()) == inf:
        return min(found)  # hardly ever whole, the larger the less
    return min(found, key=lambda records: (found[records], -records))
