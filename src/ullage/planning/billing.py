"""Charges every need to the devices its blocks are on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace

from ullage.memory.demand import Demand, Level, Need
from ullage.planning.bill import Bill, LineItem, Totals
from ullage.planning.device import DISK, HOST, Device, host_of
from ullage.planning.place import Assigned, Off, OnDevice, Place
from ullage.planning.placement import Placement
from ullage.units import ZERO, Interval

LEVELS: tuple[Level, ...] = ("live", "reserved", "process", "device")
_OFFSETS = {level: 3 * index for index, level in enumerate(LEVELS)}
Charge = tuple[str, Need, Interval, tuple[int, ...]]


def charges(demand: Demand, placement: Placement, devices: tuple[Device, ...]) -> Iterator[Charge]:
    """(device, need, bytes, blocks) for each need and device, temporaries by their largest."""
    host = host_of(devices)
    if host == HOST:
        return _charges(demand, placement, devices)
    # Without a GPU, what lies in host memory and what is computed on lie on the same device.
    merged = _charges(demand, placement, devices)
    return ((DISK if name == DISK else host, *rest) for name, *rest in merged)  # type: ignore[misc]


def _charges(demand: Demand, placement: Placement, devices: tuple[Device, ...]) -> Iterator[Charge]:
    """Needs by device, `gpu:0` and so on or `host`.

    Weights of blocks offloaded to the CPU lie in host memory, and pass through a buffer for the
    largest of them on the role's first GPU; their caches and temporaries stay on that GPU.
    """
    winners: dict[tuple[str, str, str, Level], tuple[Need, Interval, tuple[int, ...]]] = {}
    passing: dict[tuple[str, str], Need] = {}
    busy = {device.number for assigned in placement.values() for device in assigned.devices}
    places: dict[tuple[str, bool, tuple[int, ...]], list[tuple[str, tuple[int, ...]]]] = {}
    for need in demand.needs:
        if not need.role:
            for index, device in enumerate(devices):
                if index in busy:
                    yield device.name, need, need.each, ()
            continue
        if need.home == "gpu":
            at = (need.role, need.component == "weights", need.blocks)
            shares = places.get(at)
            if shares is None:
                shares = places[at] = _shares(need, placement[need.role])
        else:
            shares = [(HOST if need.home == "host" else DISK, need.blocks)]
        for device_name, blocks in shares:
            offloaded = device_name in (HOST, DISK) and need.home == "gpu" and need.component == "weights"
            if offloaded and len(placement[need.role].places) > 1:
                held = passing.get((need.role, need.phase))
                if held is None or need.each.high > held.each.high:
                    passing[need.role, need.phase] = need
            if need.combine == "sum":
                yield device_name, need, need.each * len(blocks), blocks
            elif need.combine == "once":
                yield device_name, need, need.each, blocks
            else:
                key = (device_name, need.phase, need.role, need.level)
                best = winners.get(key)
                winners[key] = _larger(best, need, blocks)
    for (device_name, *_), (need, size, blocks) in winners.items():
        yield device_name, need, size, blocks
    for need in passing.values():
        yield _passing(need, placement[need.role])


def _passing(need: Need, assigned: Assigned) -> Charge:
    """The buffer through which an offloaded block's weights reach the GPU."""
    first = assigned.first
    note = "offloaded block on its way"
    moved = replace(need, component="workspace", combine="once", note=note)
    return _name(first), moved, need.each, ()


def _larger(
    best: tuple[Need, Interval, tuple[int, ...]] | None, need: Need, blocks: tuple[int, ...]
) -> tuple[Need, Interval, tuple[int, ...]]:
    """The maximum end by end, shown as the need whose expected value is larger."""
    each = need.each
    if best is None:
        return need, each, blocks
    held = best[1]
    size = Interval(max(held.low, each.low), max(held.expected, each.expected), max(held.high, each.high))
    return (need, size, blocks) if each.expected > held.expected else (best[0], size, best[2])


def _shares(need: Need, assigned: Assigned) -> list[tuple[str, tuple[int, ...]]]:
    if assigned.ranks:
        return [(_name(device), need.blocks) for device in assigned.ranks]
    held = assigned.places
    if len(held) == 1:
        return [(_name(held[0]), need.blocks)]
    first = assigned.first
    begin, end = need.blocks[0], need.blocks[-1] + 1
    if end - begin == len(need.blocks) and len(assigned.devices) == len(held):
        # Blocks lie on devices in order, so a range of them is cut where the devices change.
        cuts = [(place, *_range(assigned, place)) for place in held]
        parts = [(place, max(start, begin), min(stop, end)) for place, start, stop in cuts]
        return [
            (_name(place), need.blocks[start - begin : stop - begin])
            for place, start, stop in parts
            if start < stop
        ]
    groups: dict[Place, list[int]] = {}
    for block in need.blocks:
        place = assigned.blocks[block]
        if isinstance(place, Off) and need.component != "weights":
            place = first
        groups.setdefault(place, []).append(block)
    return [(_name(place), tuple(blocks)) for place, blocks in groups.items()]


def _range(assigned: Assigned, place: Place) -> tuple[int, int]:
    start = assigned.blocks.index(place)
    return start, start + assigned.blocks.count(place)


def _name(place: Place) -> str:
    """What a line item calls the place; `charges` renames what lies on the device of a set without GPUs."""
    if isinstance(place, OnDevice):
        return f"gpu:{place.number}"
    return HOST if place is Off.HOST else DISK


def device_peaks(demand: Demand, placement: Placement, devices: tuple[Device, ...]) -> dict[str, Interval]:
    """Everything on each device at its fullest, end by end: what a verdict needs and no more."""
    sums: dict[tuple[str, str], list[int]] = {}
    for device, need, size, _ in charges(demand, placement, devices):
        at = sums.get((device, need.phase))
        if at is None:
            sums[device, need.phase] = [size.low, size.expected, size.high]
        else:
            at[0] += size.low
            at[1] += size.expected
            at[2] += size.high
    ends: dict[str, list[int]] = {}
    for (device, _), values in sums.items():
        ends[device] = list(map(max, ends.get(device, values), values))
    return {device: Interval(*values) for device, values in ends.items()}


def _add(sums: dict[tuple[str, str], list[int]], device: str, need: Need, size: Interval) -> None:
    key = (device, need.phase)
    at = sums.get(key)
    if at is None:
        at = sums[key] = [0] * 12
    offset = _OFFSETS[need.level]
    at[offset] += size.low
    at[offset + 1] += size.expected
    at[offset + 2] += size.high


def _nested(sums: dict[tuple[str, str], list[int]]) -> dict[str, dict[str, Totals]]:
    found: dict[str, dict[str, Totals]] = defaultdict(dict)
    for (device, phase), parts in sums.items():
        levels = []
        running = ZERO
        for offset in range(0, 12, 3):
            running = running + Interval(*parts[offset : offset + 3])
            levels.append(running)
        found[device][phase] = Totals(*levels)
    return dict(found)


def make_bill(demand: Demand, placement: Placement, devices: tuple[Device, ...]) -> Bill:
    """Every line item with the totals that follow from them."""
    sums: dict[tuple[str, str], list[int]] = {}
    items = []
    shapes = {shape.name: shape for shape in demand.roles}
    for device, need, size, blocks in charges(demand, placement, devices):
        _add(sums, device, need, size)
        layers = None
        last = shapes[need.role].blocks - 1 if need.role else 0
        inner = [block for block in blocks if 0 < block < last]
        if inner and need.component not in ("cuda_graphs", "context", "nccl"):
            layers = (inner[0] - 1, inner[-1])
        items.append(
            LineItem(
                need.role,
                need.component,
                device,
                need.phase,
                size,
                need.basis,
                need.level,
                layers,
                need.note,
            )
        )
    return Bill(tuple(item for item in items if item.bytes.high), _nested(sums))


def device_map(
    role: str, demand: Demand, placement: Placement, devices: tuple[Device, ...]
) -> dict[str, str]:
    """Block names to devices, as accelerate's device_map; one entry per block."""
    shape = next(shape for shape in demand.roles if shape.name == role)
    assigned = placement[role]
    if assigned.ranks:
        where = "+".join(map(_name, assigned.ranks))
        return dict.fromkeys(shape.block_names, where)
    return {
        name: place_name(place, devices)
        for name, place in zip(shape.block_names, assigned.blocks, strict=True)
    }


def place_name(place: Place, devices: tuple[Device, ...]) -> str:
    """A place as accelerate's device_map has it: a device's name, `cpu` or `disk`."""
    return devices[place.number].name if isinstance(place, OnDevice) else place.value
