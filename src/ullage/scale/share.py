"""What one actor takes of a node."""

from __future__ import annotations

from dataclasses import dataclass

from ullage.planning.plan import Plan
from ullage.spec.partition import Partition
from ullage.units import gib


@dataclass(frozen=True, slots=True)
class Share:
    """What one actor takes of a node: CPUs, GPUs, and bytes of host memory."""

    cpus: int
    gpus: int
    memory: int

    def fits(self, node: dict[str, float]) -> int:
        """How many such actors a node of these resources has room for."""
        asked = {"CPU": self.cpus, "GPU": self.gpus, "memory": self.memory}
        return min(int(node.get(name, 0.0) // size) for name, size in asked.items() if size)

    def __str__(self) -> str:
        gpus = f", {self.gpus} GPUs" if self.gpus else ""
        return f"{self.cpus} CPUs{gpus}, {gib(self.memory)} of memory"


def share_of(plan: Plan, partition: Partition) -> Share:
    """What the plan says that one actor takes."""
    gpus = sum(device.name.startswith("gpu:") for device in plan.devices)
    host = [device.peak.process.high for device in plan.devices if not device.name.startswith("gpu:")]
    return Share(partition.threads, gpus, max(host, default=0))
