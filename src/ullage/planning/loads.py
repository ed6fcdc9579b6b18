"""What each device already holds in each phase, and what a role asks of it."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from functools import lru_cache
from itertools import accumulate
from typing import Final, NamedTuple

from ullage.memory.demand import RoleShape, Spells
from ullage.memory.needs import RECENT, Needs
from ullage.planning.device import Device
from ullage.planning.place import OFFLOAD, Assigned, Off, OnDevice, Span

_UNBOUNDED: Final = 2**62


class Beside(NamedTuple):
    """What a role needs in some of its phases, and what is taken beside it: in the fullest of them on each
    device, and on all devices the role may use in the phase that is fullest together."""

    needs: Needs
    taken: tuple[int, ...]
    together: int


def beside(
    spells: Spells, used: tuple[int, ...], allowed: tuple[int, ...], devices: int
) -> tuple[Beside, ...]:
    """What a role needs on GPUs, the needs of its last phases first. `used` is what is placed so far: its
    high values, phase by phase those of all devices."""
    by_device = [used[device::devices] for device in range(devices)]
    on_all = [*map(sum, zip(*[by_device[index] for index in allowed], strict=True))]
    found = []
    for needs, phases in spells.each:
        if needs.on_gpu:
            taken = tuple([max([sizes[phase] for phase in phases]) for sizes in by_device])
            together = max([on_all[phase] for phase in phases]) if on_all else 0
            found.append((phases[-1], Beside(needs, taken, together)))
    return tuple(each for _, each in sorted(found, key=lambda pair: -pair[0]))


@lru_cache(maxsize=RECENT)
def taken(spells: Spells, assigned: Assigned, devices: int) -> tuple[int, ...]:
    """What a role takes where it is placed: its high values, phase by phase those of all devices."""
    rows = []
    for needs, _ in spells.each:
        highs = _highs(needs, assigned) if needs.on_gpu else {}
        rows.append([highs.get(device, 0) for device in range(devices)])
    return spells.column(rows, devices)


@lru_cache(maxsize=RECENT)
def taken_at_first(process: Spells, devices: int) -> tuple[int, ...]:
    """What the process takes on every device, phase by phase."""
    return process.column([[needs.fixed] * devices for needs, _ in process.each], devices)


def _highs(needs: Needs, assigned: Assigned) -> dict[int, int]:
    """High value on each device that holds blocks."""
    if assigned.ranks:
        return {device.number: needs.whole[2] for device in assigned.ranks}
    found: dict[int, int] = {}
    for place, start, stop in assigned.spans:
        if isinstance(place, OnDevice):
            own = needs.up_to[stop] - needs.up_to[start]
            found[place.number] = found.get(place.number, needs.fixed) + own
    return found


def room(beside: tuple[Beside, ...], index: int, devices: tuple[Device, ...]) -> int:
    """Bytes of budget left on a device in its fullest phase, were the whole role there."""
    worst = max((each.taken[index] + each.needs.whole[2] for each in beside), default=0)
    return devices[index].budget - worst


def least_share(beside: tuple[Beside, ...], allowed: tuple[int, ...], devices: tuple[Device, ...]) -> float:
    """The share of the budgets that all blocks take even if they could be cut anywhere."""
    budget = sum(devices[index].budget for index in allowed) or 1
    return max((each.needs.up_to[-1] + each.together for each in beside), default=0) / budget


def offloaded(beside: tuple[Beside, ...], blocks: range, limits: dict[str, int]) -> tuple[Span, ...]:
    """Where blocks wait: in host memory while its limit lasts, then on disk."""
    if not blocks:
        return ()
    held = blocks.stop
    if "disk" in limits:
        weights: dict[int, int] = {}
        for each in beside:
            weights = each.needs.weights() | weights
        taken = accumulate(weights.get(block, 0) for block in blocks)
        limit = limits.get("cpu", 0)
        held = blocks.start + sum(1 for size in taken if size <= limit)
    found = Span(Off.HOST, blocks.start, held), Span(Off.DISK, held, blocks.stop)
    return tuple(span for span in found if span.start < span.stop)


def filler(
    shape: RoleShape,
    beside: tuple[Beside, ...],
    allowed: tuple[int, ...],
    limits: dict[str, int],
    devices: tuple[Device, ...],
) -> Callable[[float], list[int]]:
    """A function from a share of the budgets to where each device's range of blocks stops, when
    each in turn takes as many blocks as fit."""
    rows: list[tuple[list[int], list[int], list[int]]] = []
    passing = max((each.needs.passing for each in beside), default=0)
    for each in beside:
        fixed = each.needs.fixed
        taken = [each.taken[index] + fixed for index in allowed]
        bounds = [limits.get(f"gpu:{index}", _UNBOUNDED) - fixed for index in allowed]
        if OFFLOAD & set(limits):
            # Offloaded layers keep caches on the first GPU, and their weights pass through.
            kept = each.needs.kept + passing
            taken[0] += kept
            bounds[0] -= kept
        rows.append((each.needs.up_to, taken, bounds))
    each_device = [
        (devices[index].budget, [(sums, taken[at], bounds[at]) for sums, taken, bounds in rows])
        for at, index in enumerate(allowed)
    ]

    def fill(share: float) -> list[int]:
        start, stops = 0, []
        for budget, asked in each_device:
            stop, most = shape.blocks, budget * share
            for sums, taken, bound in asked:
                free = most - taken
                if free > bound:
                    free = bound
                at = bisect_right(sums, sums[start] + free) - 1
                if at < stop:
                    stop = at
            start = max(stop, start)
            stops.append(start)
        return stops

    return fill
