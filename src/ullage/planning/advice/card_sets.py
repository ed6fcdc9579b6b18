"""Which other cards are looked at, and in which order."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final, Literal

from ullage.facts.gpu import GpuSet
from ullage.facts.price import SET_SIZES, price_of, priced_sets

Order = Literal["cost", "time", "quality"]
ORDERS: Final[tuple[Order, ...]] = ("cost", "time", "quality")
SHARE_FOR_TIME: Final = 4
"""Every so many-th set is the next fastest, the others the next cheapest."""


def other_sets(own: GpuSet, least: int, order: Order) -> list[GpuSet]:
    """Priced sets that torch has kernels for and that have `least` usable bytes, and other numbers of cards
    of the own kind: the most promising first, as far as that shows from prices and peaks alone."""
    found = [
        each
        for each in dict.fromkeys((*_of_own_kind(own), *(each for _, each in priced_sets())))
        if each != own and each.abilities.has_kernels and sum(gpu.usable.high for gpu in each.gpus) >= least
    ]
    by_cost = sorted(found, key=_dollars_of_work)
    by_time = sorted(found, key=_seconds_of_work)
    if order == "time":
        by_cost, by_time = by_time, by_cost
    return list(dict.fromkeys(_mixed(by_cost, by_time)))


def _of_own_kind(own: GpuSet) -> Iterator[GpuSet]:
    kinds = set(own.gpus)
    if len(kinds) == 1 and own.abilities.platform in ("cuda", "rocm"):
        yield from (GpuSet((own.gpus[0],) * size) for size in SET_SIZES)


def _mixed(most: list[GpuSet], some: list[GpuSet]) -> Iterator[GpuSet]:
    others = iter(some)
    for place, each in enumerate(most, 1):
        yield each
        if place % (SHARE_FOR_TIME - 1) == 0:
            yield next(others)


def least_share(gpus: GpuSet, other: GpuSet) -> float:
    """Of the time that work takes on `other`, what it takes on `gpus` at least: as if it did nothing but that
    in which these are ahead."""
    return min(mine / its if its else 0.0 for mine, its in zip(_paces(gpus), _paces(other), strict=True))


def _paces(gpus: GpuSet) -> tuple[float, float]:
    """Seconds of a byte that is read and of an operation, all cards at once; infinite where not known."""
    bandwidths = [gpu.bandwidth or 0.0 for gpu in gpus.gpus]
    operations = [gpu.operations.per_second if gpu.operations else 0.0 for gpu in gpus.gpus]
    read, computed = (1 / sum(rates) if all(rates) else math.inf for rates in (bandwidths, operations))
    return read, computed


def _seconds_of_work(gpus: GpuSet) -> float:
    """Of reading and computing alike: between them lies what most work takes."""
    read, computed = _paces(gpus)
    return math.sqrt(read * computed)


def _dollars_of_work(gpus: GpuSet) -> float:
    price = price_of(gpus)
    return math.inf if price is None else price.usd_per_hour * _seconds_of_work(gpus)
