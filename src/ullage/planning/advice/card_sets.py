"""Which other cards are looked at, and in which order."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Final, NamedTuple

from ullage.facts.gpu import GpuSet
from ullage.facts.price import SET_SIZES, Prices
from ullage.planning.advice.entry import Order
from ullage.spec.device_map import devices_in
from ullage.spec.workload import Workload

ORDERS: Final[tuple[Order, ...]] = ("cost", "time", "quality")


SPARE: Final = 1.3
"""What a set has beyond the least that anything could do with, if it is to hold batches: others come last."""


class Room(NamedTuple):
    """Usable bytes of a set: the `least` that anything tried could do with, and `enough` for the workload as
    it is."""

    least: int
    enough: int


def other_sets(
    own: GpuSet, room: Room, order: Order, seconds: Callable[[GpuSet], float], prices: Prices
) -> list[GpuSet]:
    """Priced sets that torch has kernels for, and other numbers of cards of the own kind: the most promising
    first, as far as that shows from prices, peaks and the `seconds` that work likely takes."""
    found = [
        each
        for each in dict.fromkeys((*_of_own_kind(own), *(each for _, each in prices.sets())))
        if each != own and each.abilities.has_kernels and each.usable_bytes >= room.least
    ]
    taken = {each: seconds(each) for each in found}
    by_cost = sorted(found, key=lambda each: usd_per_hour(each, prices) * taken[each])
    by_time = sorted(found, key=lambda each: taken[each])
    roomy = [each for each in by_cost if each.usable_bytes >= room.enough]
    spare = [each for each in by_cost if each.usable_bytes >= room.least * SPARE]
    orders = (by_time, spare, by_time, roomy) if order == "time" else (roomy, spare, roomy, by_time)
    return list(dict.fromkeys([*_in_turn(orders), *by_cost]))


def cards_named(workload: Workload) -> int:
    """How many cards there are at least where a file says which of them roles are on."""
    found = [0]
    for role in workload.roles.values():
        places = (role.placement,) if isinstance(role.placement, str) else role.placement
        named = [*places, *devices_in(role.device_map or {})]
        found += [int(place.removeprefix("gpu:")) + 1 for place in named if place.startswith("gpu:")]
    return max(found)


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


def holds_less(gpus: GpuSet, other: GpuSet) -> bool:
    """Whether these cards are no more than others, and none of them is larger: they hold nothing more."""
    sizes, theirs = (sorted((gpu.usable.high for gpu in each.gpus), reverse=True) for each in (gpus, other))
    return len(sizes) <= len(theirs) and all(a <= b for a, b in zip(sizes, theirs, strict=False))


def usd_per_hour(gpus: GpuSet, prices: Prices) -> float:
    """Infinite without a price."""
    price = prices.of(gpus)
    return math.inf if price is None else price.usd_per_hour
