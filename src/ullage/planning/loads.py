"""What each device already holds in each phase, and what a role asks of it."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable
from itertools import accumulate
from typing import Final

from ullage.memory.demand import Demand, Need, RoleShape
from ullage.planning.device import Device
from ullage.planning.place import OFFLOAD, Assigned, Off

_UNBOUNDED: Final = 2**62


class Loads:
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

    def offloaded(self, shape: RoleShape, first: int, limits: dict[str, int]) -> tuple[Off, ...]:
        """Where the blocks from `first` on wait: in host memory while its limit lasts, then on disk."""
        rest = range(first, shape.blocks)
        if "disk" not in limits:
            return (Off.HOST,) * len(rest)
        room = limits.get("cpu", 0)
        found = []
        for block in rest:
            room -= self._weights.get(shape.name, {}).get(block, 0)
            found.append(Off.HOST if room >= 0 else Off.DISK)
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
            for device in assigned.devices:
                own = (
                    sum(blocks)
                    if assigned.ranks
                    else sum(b for b, d in zip(blocks, assigned.blocks, strict=True) if d == device)
                )
                self._used[device.number][phase] += own + self._asked(shape.name, phase)
