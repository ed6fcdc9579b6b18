"""Which other cards are looked at, and in which order."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from ullage.facts.gpu import GpuSet
from ullage.facts.price import SET_SIZES, Prices
from ullage.planning.advice.entry import Order

ORDERS: Final[tuple[Order, ...]] = ("cost", "time", "quality")


SPARE: Final = 1.3
"""What a set has beyond the least that anything could do with, if it is to hold batches: others come last."""


class Room(NamedTuple):
    """Usable bytes of a set: the `least` that anything tried could do with, and `enough` for the workload as
    it is."""

    least: int
    enough: int


def other_sets(own: GpuSet, room: Room, order: Order, together: bool, prices: Prices) -> list[GpuSet]:
    """Priced sets that torch has kernels for, and other numbers of cards of the own kind: the most promising
    first, as far as that shows from prices and peaks alone. Cards work `together`, or in turn."""
    found = [
        each
        for each in dict.fromkeys((*_of_own_kind(own), *(each for _, each in prices.sets())))
        if each != own and each.abilities.has_kernels and bytes_of(each) >= room.least
    ]
    by_cost = sorted(found, key=lambda each: _dollars_of_work(each, together, prices))
    by_time = sorted(found, key=lambda each: _seconds_of_work(each, together))
    roomy = [each for each in by_cost if bytes_of(each) >= room.enough]
    spare = [each for each in by_cost if bytes_of(each) >= room.least * SPARE]
    orders = (by_time, spare, by_time, roomy) if order == "time" else (roomy, spare, roomy, by_time)
    return list(dict.fromkeys([*_in_turn(orders), *by_cost]))


def bytes_of(gpus: GpuSet) -> int:
    """Usable of all its cards, at most."""
    return sum(gpu.usable.high for gpu in gpus.gpus)


def _in_turn(orders: Iterable[list[GpuSet]]) -> Iterator[GpuSet]:
    """The next of each that was not given yet; one that stands twice has two turns."""
    given: set[GpuSet] = set()
    lists = list(orders)
    left = {id(each): iter(each) for each in lists}
    while left:
        for each in lists:
            if id(each) in left:
                following = next((one for one in left[id(each)] if one not in given), None)
                if following is None:
                    del left[id(each)]
                else:
                    given.add(following)
                    yield following


def _of_own_kind(own: GpuSet) -> Iterator[GpuSet]:
    kinds = set(own.gpus)
    if len(kinds) == 1 and own.abilities.platform in ("cuda", "rocm"):
        yield from (GpuSet((own.gpus[0],) * size) for size in SET_SIZES)


def least_share(gpus: GpuSet, other: GpuSet, together: bool) -> float:
    """Of the time that work takes on `other`, what it takes on `gpus` at least: as if it did nothing but that
    in which these are ahead: reading, computing, or bringing weights over the bus."""
    paces = zip((*_paces(gpus, together), _bus(gpus)), (*_paces(other, together), _bus(other)), strict=True)
    return min(mine / its if its else 0.0 for mine, its in paces)


def _bus(gpus: GpuSet) -> float:
    """Seconds of a byte from host memory to the fastest of them; infinite where that is not known."""
    rates = [gpu.pcie for gpu in gpus.gpus if gpu.pcie]
    return 1 / max(rates) if rates else math.inf


def _paces(gpus: GpuSet, together: bool) -> tuple[float, float]:
    """Seconds of a byte that is read and of an operation; infinite where not known."""
    bandwidths = [gpu.bandwidth or 0.0 for gpu in gpus.gpus]
    operations = [gpu.operations.per_second if gpu.operations else 0.0 for gpu in gpus.gpus]
    read, computed = (1 / sum(rates) if all(rates) else math.inf for rates in (bandwidths, operations))
    cards = 1 if together else len(gpus.gpus)
    return read * cards, computed * cards


def _seconds_of_work(gpus: GpuSet, together: bool) -> float:
    """Of reading and computing alike: between them lies what most work takes."""
    read, computed = _paces(gpus, together)
    return math.sqrt(read * computed)


def _dollars_of_work(gpus: GpuSet, together: bool, prices: Prices) -> float:
    price = prices.of(gpus)
    return math.inf if price is None else price.usd_per_hour * _seconds_of_work(gpus, together)
