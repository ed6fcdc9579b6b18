"""One pass of a role, and where the role is held: what a time is asked of."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Final

from ullage.facts.architecture import Architecture, Model
from ullage.facts.quantization.scheme import Slowdown
from ullage.memory.needs import RECENT
from ullage.memory.weights.precision import ResolvedPrecision
from ullage.phases.phase import Work
from ullage.planning.device import Device
from ullage.spec.role import Role

UNCHANGED: Final = Slowdown(1.0, 1.0, 1.0)


@dataclass(frozen=True, eq=False)
class Held:
    """How a role is held while it runs: the spans of its blocks by the device that computes them, how many
    devices share every block, and the blocks that wait in host memory and on disk. Compared by identity."""

    spans: tuple[tuple[Device, int, int], ...]
    ranks: int
    host: int
    disk: int

    @property
    def blocks(self) -> int:
        """All of them."""
        return self.spans[-1][2]

    @property
    def waits(self) -> bool:
        """Whether some of them wait off the devices."""
        return self.host + self.disk > 0

    def emulates(self, dtype: str) -> bool:
        """Whether its slowest card has no arithmetic in it: bf16 before Ampere, which is emulated in fp32."""
        return dtype == "bf16" and not self.slowest.gpu.abilities.bf16

    @cached_property
    def several(self) -> bool:
        """Whether different devices compute different blocks."""
        return len({device.name for device, _, _ in self.spans}) > 1

    @cached_property
    def slowest(self) -> Device:
        """That whose memory is read slowest; of unknown bandwidth is slower than all."""
        return min((device for device, _, _ in self.spans), key=lambda device: device.gpu.bandwidth or 0.0)


@dataclass(frozen=True, eq=False)
class Task:
    """What one pass of a phase does, wherever its role is held: the role, its model and the `work`. Compared
    by identity: `task_of` gives one object for equal parts.

    `read` are the bytes of weights and of caches, as `Needs` has them. `from_disk`: its weights do not wait
    in host memory when they are loaded. `repeats`: grouped heads are copied in front of the flash kernel too,
    as transformers 4.46 did.
    """

    work: Work
    role: Role
    model: Model
    precision: ResolvedPrecision
    kernel: str
    read: tuple[int, int]
    from_disk: bool
    repeats: bool = False

    @property
    def architecture(self) -> Architecture:
        """The model of what is known to be a language model."""
        assert isinstance(self.model, Architecture)
        return self.model

    @cached_property
    def own_kernels(self) -> bool:
        """Whether the engine has kernels of its own for its scheme; for bitsandbytes' none has."""
        scheme = self.precision.scheme
        bitsandbytes = scheme is not None and "bitsandbytes" in scheme.packages
        return self.role.runs_with.memory != "process" and not bitsandbytes

    @cached_property
    def slowdown(self) -> Slowdown | None:
        """What its scheme was measured to cost; None where nobody published it."""
        scheme = self.precision.scheme
        if scheme is None:
            return UNCHANGED
        return UNCHANGED if self.own_kernels else scheme.slowdown

    def slowdown_on(self, held: Held) -> Slowdown | None:
        """The same there: cards may multiply in what an engine with kernels of its own holds."""
        scheme = self.precision.scheme
        if scheme is None or not self.own_kernels:
            return self.slowdown
        abilities = held.slowest.gpu.abilities
        multiplied = abilities.capability is not None and abilities.reaches(scheme.least_capability)
        return (scheme.tensor_cores if multiplied else None) or UNCHANGED


task_of = lru_cache(maxsize=RECENT)(Task)
"""The one `Task` of its parts."""
