"""The bill: what every role needs, charged to devices, and what that comes to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from operator import add
from typing import Final

from ullage.memory.demand import PROCESS, Demand, Spells
from ullage.memory.needs import OUTSIDE, PASSES, RECENT, Ends, Level, Need, Needs
from ullage.planning.bill import Bill, LineItem, Totals
from ullage.planning.charging import Charge, Charged, charged, charges, ends
from ullage.planning.device import DISK, HOST, Device, host_of
from ullage.planning.place import Assigned, Off, OnDevice, Place, assigned
from ullage.planning.placement import Placement
from ullage.units import ZERO, Interval

LEVELS: tuple[Level, ...] = ("live", "reserved", "process", "device")
_OFFSETS = {level: 3 * index for index, level in enumerate(LEVELS)}


def _assigned(placement: Placement) -> Placement:
    """Where each role is; the process is paid on each device in use."""
    return placement | {PROCESS: _in_use(frozenset(placement.values()))}


@lru_cache(maxsize=RECENT)
def _in_use(places: frozenset[Assigned]) -> Assigned:
    busy = {device for place in places for device in place.devices}
    return assigned((), tuple(sorted(busy)), "")


def _names(devices: tuple[Device, ...]) -> dict[Place, str]:
    """What a line item calls each place. Without a GPU, what lies in host memory and what is computed on lie
    on the same device."""
    names: dict[Place, str] = {OnDevice(index): device.name for index, device in enumerate(devices)}
    return names | {Off.HOST: host_of(devices), Off.DISK: DISK}


def device_peaks(demand: Demand, placement: Placement, devices: tuple[Device, ...]) -> dict[str, Interval]:
    """Everything on each device at its fullest, end by end: what a verdict needs and no more."""
    places = _assigned(placement)
    count, apart = len(devices), host_of(devices) == HOST
    columns = [_column(own, places[role], count, apart) for role, own in demand.spells.items()]
    sizes = [*map(sum, zip(*columns, strict=True))]
    stride = 3 * count + 6
    highest = [max(sizes[end::stride], default=0) for end in range(stride)]
    names = [*[device.name for device in devices], HOST, DISK]
    peaks = [(name, highest[3 * at : 3 * at + 3]) for at, name in enumerate(names)]
    return {name: Interval(*found) for name, found in peaks if any(found)}


@lru_cache(maxsize=RECENT)
def _column(spells: Spells, assigned: Assigned, count: int, apart: bool) -> tuple[int, ...]:
    """What a role comes to, phase by phase: the three ends of each of so many devices, of the host and of the
    disk; host memory is `apart`, or the one device's own."""
    rows = [[*ends(needs, assigned, count)] for needs, _ in spells.each]
    if not apart:
        for row in rows:
            row[:6] = [*map(add, row[:3], row[3:6]), 0, 0, 0]
    return spells.column(rows, 3 * count + 6)


_HERE: Final = 7
"""Of a place in a phase: the three ends of what torch's allocator reserves, those of all, and how many roles,
the process among them, have something there."""


def peaks_beside_segments(
    demand: Demand, placement: Placement, devices: tuple[Device, ...]
) -> dict[str, Interval]:
    """The same with the segments that earlier phases have left, as the bill's totals have them."""
    places = _assigned(placement)
    count, apart = len(devices), host_of(devices) == HOST
    columns = [_levels(own, places[role], count, apart) for role, own in demand.spells.items()]
    sizes = [*map(sum, zip(*columns, strict=True))]
    stride = _HERE * (count + 2)
    left = _left(demand)
    caching = {device.name for device in devices if not device.gpu.abilities.processor}
    # Ranks of one role are alike, and what is on their cards with them.
    known: dict[tuple[bool, tuple[tuple[int, ...], ...]], Interval] = {}
    peaks = {}
    for at, name in enumerate((*[device.name for device in devices], HOST, DISK)):
        ends = tuple([tuple(sizes[_HERE * at + end :: stride]) for end in range(_HERE)])
        key = name in caching, ends
        if any(ends[-1]):
            if key not in known:
                known[key] = _fullest(ends, left if name in caching else None)
            peaks[name] = known[key]
    return peaks


@lru_cache(maxsize=RECENT)
def _left(demand: Demand) -> tuple[bool, ...]:
    """Before which phases a role has left the devices."""
    residents = {id(phase.resident): phase for phase in demand.phases}  # phases share them
    on_device = {key: frozenset(phase.on_device()) for key, phase in residents.items()}
    here = [on_device[id(phase.resident)] for phase in demand.phases]
    return tuple([not before <= now for before, now in zip([frozenset(), *here], here, strict=False)])


def _fullest(sizes: tuple[tuple[int, ...], ...], left: tuple[bool, ...] | None) -> Interval:
    """The highest ends of a device, of sizes by phase; beside what it keeps of earlier phases where it says
    before which of them roles have `left`."""
    highest = [max(end) for end in sizes[3:6]]
    if left is not None:
        *reserved, here = sizes[0], sizes[1], sizes[2], sizes[6]
        ends = [each[:3] if each[3] else None for each in zip(*reserved, here, strict=True)]
        for at, _, unused in _unused(left, ends):
            highest = [
                max(most, end[at] + more) for most, end, more in zip(highest, sizes[3:6], unused, strict=True)
            ]
    return Interval(*highest)


@lru_cache(maxsize=RECENT)
def _levels(spells: Spells, assigned: Assigned, count: int, apart: bool) -> tuple[int, ...]:
    """What a role comes to, phase by phase and place by place: reserved, in all, and that it is there."""
    starts: dict[Place, int] = {OnDevice(at): _HERE * at for at in range(count)}
    starts[Off.HOST] = _HERE * (count if apart else 0)
    starts[Off.DISK] = _HERE * (count + 1)
    rows = []
    for needs, _ in spells.each:
        row = [0] * (_HERE * (count + 2))
        for place, sizes in _by_level(needs, assigned).items():
            at = starts[place]
            row[at : at + _HERE - 1] = map(add, row[at : at + _HERE - 1], sizes)
            row[at + _HERE - 1] = 1
        rows.append(row)
    return spells.column(rows, _HERE * (count + 2))


@lru_cache(maxsize=PASSES * RECENT)
def _by_level(needs: Needs, assigned: Assigned) -> dict[Place, tuple[int, ...]]:
    """What a role takes in each place in one phase: the ends of what is reserved, and of all."""
    holders = assigned.holders if needs.on_gpu else ()
    found: dict[Place, list[int]] = {each: [*needs.reserved, *needs.whole] for each in holders}
    items = needs.elsewhere if assigned.holders else needs.items
    made = charges(items, assigned)
    for each in (*made.sums, *made.largest, *made.passing):
        sizes = found.setdefault(each.place, [0] * 6)
        if each.need.level not in OUTSIDE:
            sizes[:3] = map(add, sizes[:3], each.bytes)
        sizes[3:] = map(add, sizes[3:], each.bytes)
    return {place: tuple(sizes) for place, sizes in found.items()}


def make_bill(demand: Demand, placement: Placement, devices: tuple[Device, ...]) -> Bill:
    """Every line item with the totals that follow from them: what is alive together phase by phase, then
    temporaries by their largest, then what passes through."""
    names, places = _names(devices), _assigned(placement)
    phases = [
        (phase.name, [(role, charged(needs, places[role])) for role, needs in asked.items()])
        for phase, asked in zip(demand.phases, demand.asked, strict=True)
    ]
    blocks = {shape.name: shape.blocks for shape in demand.roles} | {PROCESS: 1}
    items = []
    for part in (_sums, _largest, _passing):
        for phase, roles in phases:
            for role, found in roles:
                items += [_item(role, phase, each, names[each.place], blocks[role]) for each in part(found)]
    caching = [device.name for device in devices if not device.gpu.abilities.processor]
    items += _kept(demand, _totals(items), caching)
    return Bill(tuple(item for item in items if item.bytes.high), _totals(items))


def _kept(
    demand: Demand, totals: Mapping[str, Mapping[str, Totals]], devices: list[str]
) -> Iterator[LineItem]:
    """Segments of earlier phases: torch's allocator gives none back until a role leaves its device."""
    phases, left = demand.phases, _left(demand)
    for device in devices:
        here = totals.get(device, {})
        reserved = [here[phase.name].reserved if phase.name in here else None for phase in phases]
        for at, since, unused in _unused(left, reserved):
            note = f"kept since {phases[since].name}"
            kept = Need("fragmentation", (), unused, "derived", "once", "reserved", note=note)
            yield _item(PROCESS, phases[at].name, Charge(OnDevice(0), kept, unused, ()), device, 1)


def _unused(left: Iterable[bool], reserved: Iterable[Ends | None]) -> Iterator[tuple[int, int, Interval]]:
    """By phase what segments of an earlier one come to beside its own, and which that was: of what is
    reserved in each, and whether a role has `left` before."""
    most: Ends = ZERO
    since = 0
    for at, (fewer, now) in enumerate(zip(left, reserved, strict=True)):
        if fewer:
            most, since = ZERO, at
        if now is None:
            continue
        if now[0] < most[0] or now[1] < most[1] or now[2] < most[2]:
            low, expected, high = (max(kept - own, 0) for kept, own in zip(most, now, strict=True))
            if high:
                yield at, since, Interval(min(low, expected, high), min(expected, high), high)
        if now[2] >= most[2]:
            since = at
        most = max(most[0], now[0]), max(most[1], now[1]), max(most[2], now[2])


def _sums(found: Charged) -> list[Charge]:
    return found.sums


def _largest(found: Charged) -> list[Charge]:
    return found.largest


def _passing(found: Charged) -> list[Charge]:
    return found.passing


def _totals(items: list[LineItem]) -> dict[str, dict[str, Totals]]:
    """The four levels of each device and phase, each with those below it."""
    sums: dict[tuple[str, str], list[int]] = {}
    for item in items:
        at = sums.setdefault((item.device, item.phase), [0] * 12)
        offset = _OFFSETS[item.level]
        at[offset] += item.bytes.low
        at[offset + 1] += item.bytes.expected
        at[offset + 2] += item.bytes.high
    found: dict[str, dict[str, Totals]] = {}
    for (device, phase), parts in sums.items():
        levels = []
        running = ZERO
        for offset in range(0, 12, 3):
            running = running + Interval(*parts[offset : offset + 3])
            levels.append(running)
        found.setdefault(device, {})[phase] = Totals(*levels)
    return found


def _item(role: str, phase: str, charge: Charge, device: str, blocks: int) -> LineItem:
    need, layers = charge.need, None
    inner = [block for block in charge.blocks if 0 < block < blocks - 1]
    if inner and need.component not in ("cuda_graphs", "context", "nccl"):
        layers = (inner[0] - 1, inner[-1])
    return LineItem(
        role,
        need.component,
        device,
        phase,
        charge.bytes,
        need.basis,
        need.level,
        layers,
        need.note,
    )


def device_map(
    role: str, demand: Demand, placement: Placement, devices: tuple[Device, ...]
) -> dict[str, str]:
    """Block names to devices, as accelerate's device_map; one entry per block."""
    shape = next(shape for shape in demand.roles if shape.name == role)
    held = placement[role]
    if held.ranks:
        where = "+".join(place_name(device, devices) for device in held.ranks)
        return dict.fromkeys(shape.block_names, where)
    return {
        name: place_name(place, devices) for name, place in zip(shape.block_names, held.blocks, strict=True)
    }


def place_name(place: Place, devices: tuple[Device, ...]) -> str:
    """A place as accelerate's device_map has it: a device's name, `cpu` or `disk`."""
    return devices[place.number].name if isinstance(place, OnDevice) else place.value
