"""Charges what a role needs to the places its blocks are in."""

from __future__ import annotations

from bisect import bisect_left
from functools import lru_cache
from operator import add
from typing import Final, NamedTuple

from ullage.memory.fragmentation import CACHE_FRAGMENTATION, Around, unused
from ullage.memory.needs import PASSES, RECENT, Ends, Group, Level, Need, Needs, add_unused, highest
from ullage.planning.place import Assigned, Off, OnDevice, Place
from ullage.units import ZERO, Interval

HOMES: Final = {"host": Off.HOST, "disk": Off.DISK}


class Charge(NamedTuple):
    """What a need comes to in one place, and for which of the role's blocks."""

    place: Place
    need: Need
    bytes: Interval
    blocks: tuple[int, ...]


class Charged(NamedTuple):
    """What a role needs in one phase, charged to where its blocks are.

    `sums` are alive together; `largest` is the maximum of each place's and level's temporaries; `passing` the
    buffer through which offloaded weights reach the device that computes.
    """

    sums: list[Charge]
    largest: list[Charge]
    passing: list[Charge]


def charged(needs: Needs, assigned: Assigned) -> Charged:
    """`needs` where the blocks are.

    Weights of blocks offloaded to the CPU lie in host memory, and pass through a buffer for the
    largest of them on the role's first GPU; their caches and temporaries stay on that GPU.
    """
    return charges(needs.items, assigned)


def charges(items: tuple[Need, ...], assigned: Assigned) -> Charged:
    """The same of some of a role's needs."""
    sums: list[Charge] = []
    largest: dict[tuple[Place, Level], Charge] = {}
    passing: list[Charge] = []
    for need in items:
        for place, blocks in _shares(need, assigned):
            if _passes(need, place, assigned) and (not passing or need.each.high > passing[0].bytes.high):
                passing = [_passing(need, assigned.first)]
            if need.combine == "max":
                held = largest.get((place, need.level))
                charge = Charge(place, need, need.each, blocks)
                largest[place, need.level] = charge if held is None else _larger(held, charge)
            else:
                times = 1 if need.combine == "once" else len(blocks)
                sums.append(Charge(place, need, need.each * times, blocks))
    return Charged(sums, list(largest.values()), passing)


@lru_cache(maxsize=PASSES)
def ends(needs: Needs, assigned: Assigned, devices: int) -> tuple[int, ...]:
    """What `charged` comes to: low, expected and high value of each device, of the host and of the disk."""
    found = [0] * (3 * devices + 6)
    largest: Largest = {}
    passing: Ends = ZERO
    if assigned.holders:
        for each in assigned.holders:
            found[3 * each.number : 3 * each.number + 3] = needs.whole
        _spread(needs.elsewhere, None, assigned, devices, found, largest)
    else:
        for group in needs.groups:
            if group.temporary:  # of a pass, which seldom comes again; weights do
                size = _spread(group.items, group.around, assigned, devices, found, largest)
            else:
                sums, size = _spread_sums(group, assigned, devices)
                found = [*map(add, found, sums)]
            passing = max(passing, size, key=_high)
    for (at, _), (low, expected, high) in largest.items():
        found[at] += low
        found[at + 1] += expected
        found[at + 2] += high
    if passing[2]:
        at = _starts(assigned, devices)[assigned.first]
        found[at : at + 3] = map(add, found[at : at + 3], passing)
    return tuple(found)


def _high(size: Ends) -> int:
    return size[2]


Largest = dict[tuple[int, Level], Ends]
"""The maximum of temporaries by where they are and the level they count in."""


@lru_cache(maxsize=RECENT)
def _starts(assigned: Assigned, devices: int) -> dict[Place, int]:
    """Where each place's three values are."""
    starts: dict[Place, int] = {Off.HOST: 3 * devices, Off.DISK: 3 * devices + 3}
    return starts | {device: 3 * device.number for device in assigned.devices}


@lru_cache(maxsize=PASSES)
def _spread_sums(group: Group, assigned: Assigned, devices: int) -> tuple[list[int], Ends]:
    """What a group without temporaries comes to, and its largest offloaded block of weights."""
    found = [0] * (3 * devices + 6)
    return found, _spread(group.items, group.around, assigned, devices, found, {})


def _spread(
    items: tuple[Need, ...],
    around: Around,
    assigned: Assigned,
    devices: int,
    found: list[int],
    largest: Largest,
) -> Ends:
    """Adds needs to `found`, place by place, or to the `largest` of their place, with the segments `around`
    them; the largest offloaded block of weights."""
    starts = _starts(assigned, devices)
    passing: Ends = ZERO
    temporaries: dict[int, dict[Level, Ends]] = {}
    for component, blocks, (low, expected, high), _, combine, level, home, _ in items:
        here, weights = home == "gpu", component == "weights"
        if here:
            shares = _counts(blocks, weights, assigned, devices)
        else:
            shares = ((starts[HOMES[home]], len(blocks)),)
        if combine == "here":
            shares = tuple(share for share in shares if share[0] < 3 * devices)
        elif combine == "away":
            shares = tuple(share for share in shares if share[0] >= 3 * devices)
        off = bool(shares) and shares[-1][0] >= 3 * devices
        waits = weights and here and len(assigned.spans) > 1 and off
        if waits and high > passing[2]:
            passing = low, expected, high
        if combine == "max":
            for at, _ in shares:
                levels = temporaries.setdefault(at, {}) if here else {}
                levels[level] = highest(levels.get(level), low, expected, high)
                largest[at, level] = highest(largest.get((at, level)), low, expected, high)
            continue
        if here and component == "kv_cache" and around is not None:
            _, spare, most = unused(expected, high, CACHE_FRAGMENTATION)
            expected, high = expected + spare, high + most
        for at, count in shares:
            times = 1 if combine == "once" else count
            found[at] += low * times
            found[at + 1] += expected * times
            found[at + 2] += high * times
    if around is not None:
        for at, levels in temporaries.items():
            add_unused(levels, around)
            if "reserved" in levels:  # around temporaries of no bytes nothing is kept
                largest[at, "reserved"] = highest(largest.get((at, "reserved")), *levels["reserved"])
    return passing


@lru_cache(maxsize=PASSES)
def _counts(
    blocks: tuple[int, ...], weights: bool, assigned: Assigned, devices: int
) -> tuple[tuple[int, int], ...]:
    """Where the values are of each place to which `_cut` gives blocks, and how many it gives."""
    starts = _starts(assigned, devices)
    first, last = (blocks[0], blocks[-1] + 1) if blocks else (0, 0)
    if assigned.ranks or len(assigned.spans) == 1 or last - first != len(blocks):
        return tuple((starts[place], len(part)) for place, part in _cut(blocks, weights, assigned))
    found: dict[Place, int] = {}
    for place, start, stop in assigned.spans:
        count = min(stop, last) - max(start, first)
        if count > 0:
            at = assigned.first if isinstance(place, Off) and not weights else place
            found[at] = found.get(at, 0) + count
    return tuple((starts[place], count) for place, count in found.items())


Shares = list[tuple[Place, tuple[int, ...]]]
"""Places, each with the blocks a need is there for."""


def _shares(need: Need, assigned: Assigned) -> Shares:
    """Where a need lies."""
    if need.home != "gpu":
        return [(HOMES[need.home], need.blocks)]
    found = _cut(need.blocks, need.component == "weights", assigned)
    if need.combine in ("here", "away"):
        off = need.combine == "away"
        return [(place, blocks) for place, blocks in found if isinstance(place, Off) == off]
    return found


def _cut(blocks: tuple[int, ...], weights: bool, assigned: Assigned) -> Shares:
    """Ascending `blocks` by place; where they are offloaded, all but their weights stay on a device."""
    if assigned.ranks:
        return [(device, blocks) for device in assigned.ranks]
    if len(assigned.spans) == 1:
        return [(assigned.spans[0].place, blocks)]
    found: dict[Place, tuple[int, ...]] = {}
    for place, start, stop in assigned.spans:
        part = blocks[bisect_left(blocks, start) : bisect_left(blocks, stop)]
        if part:
            at = assigned.first if isinstance(place, Off) and not weights else place
            found[at] = found.get(at, ()) + part
    return list(found.items())


def _passes(need: Need, place: Place, assigned: Assigned) -> bool:
    """Whether the need's weights wait off the device that computes with them."""
    away = isinstance(place, Off) and need.component == "weights" and need.home == "gpu"
    return away and len(assigned.spans) > 1


def _passing(need: Need, first: OnDevice) -> Charge:
    """The buffer through which an offloaded block's weights reach the GPU."""
    note = "offloaded block on its way"
    moved = need._replace(component="workspace", combine="once", note=note)
    return Charge(first, moved, need.each, ())


def _larger(held: Charge, other: Charge) -> Charge:
    """The maximum end by end, shown as the need whose expected value is larger."""
    one, two = held.bytes, other.bytes
    size = Interval(max(one.low, two.low), max(one.expected, two.expected), max(one.high, two.high))
    return (other if two.expected > one.expected else held)._replace(bytes=size)
