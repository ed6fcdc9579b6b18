"""Where every block of every role goes."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate

from ullage.errors import InputError
from ullage.memory.demand import Demand, Need, RoleShape
from ullage.planning.device import CPU_NAME, Device

ON_HOST = -1
ON_DISK = -2
ON_THE_CPU = "there is no GPU"
OFFLOAD = frozenset({"cpu", "disk"})
"""Keys of max_memory that let blocks wait off the devices that compute."""
BY_FILE = "placed on the CPU by the file"
_SEARCH_STEPS = 9
"""Halvings of a range a quarter wide: balanced to a two-thousandth of a budget."""
_UNBOUNDED = 2**62
_NO_BUDGET = 2.0**20
"""A share of the budgets beyond any size: what limits a role then is its own max_memory."""


@dataclass(frozen=True, slots=True)
class Assigned:
    """A role's blocks on devices (index into the set; ON_HOST for the CPU, ON_DISK).

    With `ranks`, tensor parallelism: each of those devices holds a share of every block, and
    `blocks` is empty. `reason` says why.
    """

    blocks: tuple[int, ...]
    ranks: tuple[int, ...] = ()
    reason: str = ""

    @property
    def devices(self) -> tuple[int, ...]:
        return self.ranks or tuple(dict.fromkeys(self.blocks))

    @property
    def first(self) -> int:
        """The GPU that computes what is offloaded, and keeps its caches."""
        return next(index for index in self.devices if index >= 0)


Placement = dict[str, Assigned]


def place(demand: Demand, devices: tuple[Device, ...]) -> Placement:
    """A place for every block: pinned roles first, then the largest.

    A role goes to the GPU with most room where it fits; else its blocks are split in order over
    the GPUs so that the fullest one, measured against its budget, is as empty as possible. Where
    nothing fits, this still is the split that exceeds least. Raises InputError for places the
    machine does not have.
    """
    if len(devices) == 1 and all(shape.ranks == 1 and not shape.max_memory for shape in demand.roles):
        return {shape.name: _on_the_only(shape, devices) for shape in demand.roles}
    loads = _Loads(demand, devices)
    shapes = sorted(demand.roles, key=lambda shape: (shape.placement == "auto", -loads.size(shape.name)))
    placement: Placement = {}
    for shape in shapes:
        assigned = _place_role(shape, loads, devices)
        if shape is not shapes[-1]:
            loads.add(shape, assigned)
        placement[shape.name] = assigned
    return {shape.name: placement[shape.name] for shape in demand.roles}


def _alone(room: int) -> str:
    fits = "fits on one GPU" if room >= 0 else "cannot be split, and fits on no one GPU"
    return f"{fits}: the one with most room"


def _on_the_only(shape: RoleShape, devices: tuple[Device, ...]) -> Assigned:
    if shape.placement == "cpu":
        return Assigned((ON_HOST,) * shape.blocks, reason=BY_FILE)
    reason = ON_THE_CPU if devices[0].name == CPU_NAME else "there is one GPU"
    return Assigned(_allowed(shape, devices) * shape.blocks, reason=reason)


def _place_role(shape: RoleShape, loads: _Loads, devices: tuple[Device, ...]) -> Assigned:
    if shape.placement == "cpu":
        return Assigned((ON_HOST,) * shape.blocks, reason=BY_FILE)
    allowed = _allowed(shape, devices)
    if shape.ranks > 1:
        if shape.ranks > len(allowed):
            raise InputError(
                f"role {shape.name}: tensor_parallel {shape.ranks} needs as many GPUs, "
                f"there {'is' if len(allowed) == 1 else 'are'} {len(allowed)}"
            )
        ranks = tuple(sorted(allowed, key=lambda index: (-loads.room(shape, index), index)))
        return Assigned((), ranks[: shape.ranks], f"tensor parallel over {shape.ranks} GPUs")
    limits = _limits(shape, devices)
    if len(allowed) == 1:
        why = "there is one GPU" if shape.placement == "auto" else "pinned by the file"
        return _within(shape, loads, allowed, limits, why)
    if OFFLOAD & set(limits):
        return _within(shape, loads, allowed, limits, "split over the GPUs")
    best = max(allowed, key=lambda index: loads.room(shape, index))
    room = min(loads.room(shape, best), limits.get(f"gpu:{best}", 2**62) - loads.size(shape.name))
    listed = shape.placement != "auto"
    if (room >= 0 and not listed) or not shape.splittable:
        return Assigned((best,) * shape.blocks, reason=_alone(room))
    why = "split by request" if listed else "too large for one GPU beside what else is loaded"
    return _within(shape, loads, allowed, limits, why)


def _limits(shape: RoleShape, devices: tuple[Device, ...]) -> dict[str, int]:
    """`max_memory` by device; without a GPU the cpu's limit is that of the device everything runs on."""
    limits = dict(shape.max_memory)
    if devices[0].name == CPU_NAME and "cpu" in limits:
        limits["gpu:0"] = limits.pop("cpu")
    return limits


def _allowed(shape: RoleShape, devices: tuple[Device, ...]) -> tuple[int, ...]:
    if shape.placement in ("auto", "balanced"):
        return tuple(range(len(devices)))
    names = (shape.placement,) if isinstance(shape.placement, str) else shape.placement
    indices = tuple(int(name.removeprefix("gpu:")) for name in names if name.startswith("gpu:"))
    for index in indices:
        if index >= len(devices):
            raise InputError(
                f"role {shape.name}: placement gpu:{index}, but there "
                f"{'is' if len(devices) == 1 else 'are'} only {len(devices)} "
                f"(gpu:0{'' if len(devices) == 1 else f' to gpu:{len(devices) - 1}'})"
            )
    return indices


def _within(
    shape: RoleShape, loads: _Loads, allowed: tuple[int, ...], limits: dict[str, int], why: str
) -> Assigned:
    """Blocks in order over `allowed`, the fullest as empty as can be; the rest on the CPU where
    `max_memory` offers it."""
    fill = loads.filler(shape, allowed, limits)
    offloads = OFFLOAD & set(limits)
    if limits and not offloads and fill(_NO_BUDGET)[-1] < shape.blocks:
        raise InputError(
            f"role {shape.name}: max_memory holds {fill(_NO_BUDGET)[-1]} of its {shape.blocks} blocks; "
            "raise it, or add cpu or disk to offload the rest"
        )
    if len(allowed) == 1 and not offloads:
        return Assigned(allowed * shape.blocks, reason=why)
    if shape.splittable and offloads:
        # Offloaded layers are computed on a device, so one block at least is there.
        filled = _blocks(allowed, fill(1.0)) or (allowed[0],)
        filled += loads.offloaded(shape, len(filled), limits)
        return Assigned(filled, reason=why + "; what max_memory leaves over is offloaded")
    low, high = 0.0, max(loads.least_share(shape, allowed), 2**-10)
    while fill(high)[-1] < shape.blocks and high < 2**20:
        low, high = high, high * 1.25
    for _ in range(_SEARCH_STEPS):
        middle = (low + high) / 2
        if fill(middle)[-1] < shape.blocks:
            low = middle
        else:
            high = middle
    filled = _blocks(allowed, fill(high))
    return Assigned(filled + (allowed[-1],) * (shape.blocks - len(filled)), reason=why)


def _blocks(allowed: tuple[int, ...], stops: list[int]) -> tuple[int, ...]:
    """The device of each block, from where each device's range stops."""
    found: list[int] = []
    for index, stop in zip(allowed, stops, strict=True):
        found += [index] * (stop - len(found))
    return tuple(found)


class _Loads:
    """High values of what is already placed, per device and phase, and of what each role asks.

    Invariant: `_used[device][phase]` is the sum over the roles added so far.
    """

    def __init__(self, demand: Demand, devices: tuple[Device, ...]) -> None:
        self._devices = devices
        self._used: list[dict[str, int]] = [defaultdict(int) for _ in devices]
        self._blocks: dict[str, dict[str, list[int]]] = {}
        self._streamed: dict[str, dict[str, int]] = {}
        self._fixed: dict[str, dict[str, int]] = {}
        self._weights: dict[str, dict[int, int]] = {}
        counts = {shape.name: shape.blocks for shape in demand.roles}
        peaks: dict[tuple[str, str, str], int] = defaultdict(int)
        for need in demand.needs:
            if need.home != "gpu":
                continue
            if not need.role:
                for used in self._used:
                    used[need.phase] += need.each.high
                continue
            self._count(need, counts[need.role], peaks)
        for (role, phase, _), high in peaks.items():
            self._fixed.setdefault(role, defaultdict(int))[phase] += high
        for phases in self._blocks.values():
            for phase, steps in phases.items():
                phases[phase] = list(accumulate(steps))[:-1]
        self._sums = {
            role: {phase: [0, *accumulate(blocks)] for phase, blocks in phases.items()}
            for role, phases in self._blocks.items()
        }

    def _count(self, need: Need, blocks: int, peaks: dict[tuple[str, str, str], int]) -> None:
        phases = self._blocks.setdefault(need.role, {})
        at = phases.setdefault(need.phase, [0] * (blocks + 1))
        if need.combine == "sum":
            # Kept as steps up and down until all needs are counted: most cover a range of blocks.
            high = need.each.high
            streamed = self._streamed.setdefault(need.role, defaultdict(int))
            if need.component == "weights":
                streamed[""] = max(streamed[""], high)
                self._weights.setdefault(need.role, {}).update(dict.fromkeys(need.blocks, high))
            else:
                streamed[need.phase] += high * len(need.blocks)
            first, last = need.blocks[0], need.blocks[-1]
            runs = [(first, last)]
            if last - first + 1 != len(need.blocks):
                runs = [(block, block) for block in need.blocks]
            for start, stop in runs:
                at[start] += high
                at[stop + 1] -= high
        elif need.combine == "max":
            key = (need.role, need.phase, need.level)
            peaks[key] = max(peaks[key], need.each.high)
        else:
            fixed = self._fixed.setdefault(need.role, defaultdict(int))
            fixed[need.phase] += need.each.high

    def _asked(self, role: str, phase: str) -> int:
        return self._fixed.get(role, {}).get(phase, 0)

    def size(self, role: str) -> int:
        """High value of the role's own peak on one device."""
        phases = self._sums.get(role, {})
        return max((sums[-1] + self._asked(role, p) for p, sums in phases.items()), default=0)

    def room(self, shape: RoleShape, index: int) -> int:
        """Bytes of budget left on a device in its fullest phase, were the whole role there."""
        phases = self._sums.get(shape.name, {})
        used = self._used[index]
        asked = {p: sums[-1] + self._asked(shape.name, p) for p, sums in phases.items()}
        worst = max((used.get(p, 0) + size for p, size in asked.items()), default=0)
        return self._devices[index].budget - worst

    def offloaded(self, shape: RoleShape, first: int, limits: dict[str, int]) -> tuple[int, ...]:
        """Where the blocks from `first` on wait: in host memory while its limit lasts, then on disk."""
        rest = range(first, shape.blocks)
        if "disk" not in limits:
            return (ON_HOST,) * len(rest)
        room = limits.get("cpu", 0)
        found = []
        for block in rest:
            room -= self._weights.get(shape.name, {}).get(block, 0)
            found.append(ON_HOST if room >= 0 else ON_DISK)
        return tuple(found)

    def least_share(self, shape: RoleShape, allowed: tuple[int, ...]) -> float:
        """The share of the budgets that all blocks take even if they could be cut anywhere."""
        budget = sum(self._devices[index].budget for index in allowed) or 1
        phases = self._sums.get(shape.name, {})
        taken = [
            sums[-1] + sum(self._used[index].get(phase, 0) for index in allowed)
            for phase, sums in phases.items()
        ]
        return max(taken, default=0) / budget

    def filler(
        self, shape: RoleShape, allowed: tuple[int, ...], limits: dict[str, int]
    ) -> Callable[[float], list[int]]:
        """A function from a share of the budgets to where each device's range of blocks stops, when
        each in turn takes as many blocks as fit."""
        rows = []
        for phase, sums in self._sums.get(shape.name, {}).items():
            fixed = self._asked(shape.name, phase)
            taken = [self._used[index].get(phase, 0) + fixed for index in allowed]
            bounds = [limits.get(f"gpu:{index}", _UNBOUNDED) - fixed for index in allowed]
            if OFFLOAD & set(limits):
                # Offloaded layers keep caches on the first GPU, and their weights pass through.
                streamed = self._streamed[shape.name]
                kept = streamed[phase] + streamed[""]
                taken[0] += kept
                bounds[0] -= kept
            rows.append((sums, taken, bounds))
        budgets = [self._devices[index].budget for index in allowed]

        def fill(share: float) -> list[int]:
            start, stops = 0, []
            for index, budget in enumerate(budgets):
                stop = shape.blocks
                for sums, taken, bounds in rows:
                    free = min(budget * share - taken[index], bounds[index])
                    stop = min(stop, bisect_right(sums, sums[start] + free) - 1)
                start = max(stop, start)
                stops.append(start)
            return stops

        return fill

    def add(self, shape: RoleShape, assigned: Assigned) -> None:
        for phase, blocks in self._blocks.get(shape.name, {}).items():
            for index in assigned.devices:
                if index < 0:
                    continue
                own = (
                    sum(blocks)
                    if assigned.ranks
                    else sum(b for b, d in zip(blocks, assigned.blocks, strict=True) if d == index)
                )
                self._used[index][phase] += own + self._asked(shape.name, phase)
