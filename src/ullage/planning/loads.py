"""What each device already holds in each phase, and what a role asks of it."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from itertools import accumulate
from typing import Final, NamedTuple

from ullage.memory.demand import PROCESS, Demand, Needs, RoleShape
from ullage.planning.device import Device
from ullage.planning.place import OFFLOAD, Assigned, Off, OnDevice, Span

_UNBOUNDED: Final = 2**62


class Beside(NamedTuple):
    """What a role needs in some of its phases, and what is taken beside it: in the fullest of them on each
    device, and on all devices the role may use in the phase that is fullest together."""

    needs: Needs
    taken: tuple[int, ...]
    together: int


class Loads:
    """High values of what is placed so far, per device and phase.

    Invariant: `_used[device][phase]` is the sum over the roles added so far, and the process.
    """

    def __init__(self, demand: Demand, devices: tuple[Device, ...]) -> None:
        self._spells = demand.spells
        process = [asked[PROCESS].fixed if PROCESS in asked else 0 for asked in demand.asked]
        self._used = [process.copy() for _ in devices]

    def size(self, role: str) -> int:
        """High value of the role's own peak on one device."""
        return max((needs.whole[2] for needs in self._spells[role] if needs.on_gpu), default=0)

    def beside(self, role: str, allowed: tuple[int, ...]) -> tuple[Beside, ...]:
        """What the role needs on GPUs, the needs of its last phases first."""
        found = []
        on_all = [*map(sum, zip(*[self._used[index] for index in allowed], strict=True))]
        for needs, phases in self._spells[role].items():
            if needs.on_gpu:
                taken = tuple([max([used[phase] for phase in phases]) for used in self._used])
                together = max([on_all[phase] for phase in phases]) if on_all else 0
                found.append((phases[-1], Beside(needs, taken, together)))
        return tuple(beside for _, beside in sorted(found, key=lambda pair: -pair[0]))

    def add(self, role: str, assigned: Assigned) -> None:
        """The role is placed."""
        for needs, phases in self._spells[role].items():
            if not needs.on_gpu:
                continue
            for device, high in _highs(needs, assigned).items():
                used = self._used[device]
                for phase in phases:
                    used[phase] += high


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
