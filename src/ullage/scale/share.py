"""What one actor takes of a node."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from ullage.planning.cluster.sharing import replicas_of_a_card
from ullage.planning.device import CPU_NAME, HOST
from ullage.planning.plan import Plan
from ullage.spec.partition import Partition
from ullage.units import gib

UNIT: Final = 10_000
"""Ray counts resources in whole ten-thousandths."""


@dataclass(frozen=True, slots=True)
class Share:
    """What one actor takes of a node: CPUs, whole GPUs or one that `sharing` actors share, and bytes of host
    memory. Ray places by it and holds nobody to it: what keeps an actor within its part of a card is
    `Options.sharing`, which it is opened with."""

    cpus: int
    gpus: int
    memory: int
    sharing: int = 1

    @property
    def ray_gpus(self) -> float:
        """As Ray is asked for them: below 1 a part of one card, never of two; above, whole ones alone.
        Rounded down, so that `sharing` of them are on one card, and one more is not."""
        return self.gpus if self.sharing == 1 else UNIT // self.sharing / UNIT

    def fits(self, node: Mapping[str, float]) -> int:
        """How many such actors a node of these resources has room for. What a card has left beside others is
        not known where a node has several."""
        asked = {"CPU": self.cpus, "memory": self.memory}
        room = [_units(node.get(name, 0.0)) // _units(size) for name, size in asked.items() if size]
        if self.gpus:
            whole, part = divmod(_units(node.get("GPU", 0.0)), UNIT)
            each = _units(self.ray_gpus)
            here = whole // self.gpus if self.sharing == 1 else whole * (UNIT // each) + part // each
            room.append(here)
        return min(room)

    def __str__(self) -> str:
        gpus = f", {self.ray_gpus:g} GPU{'s' if self.gpus > 1 else ''}" if self.gpus else ""
        memory = f", {gib(self.memory)} of memory" if self.memory else ""
        return f"{self.cpus} CPU{'s' if self.cpus > 1 else ''}{gpus}{memory}"


def _units(amount: float) -> int:
    return round(amount * UNIT)


def share_of(plan: Plan, partition: Partition) -> Share:
    """What the plan says that one actor takes. Raises as `replicas_of_a_card`."""
    gpus = sum(device.name.startswith("gpu:") for device in plan.devices)
    host = [device.peak.process.high for device in plan.devices if device.name in (CPU_NAME, HOST)]
    return Share(partition.threads, gpus, max(host, default=0), replicas_of_a_card(plan))
