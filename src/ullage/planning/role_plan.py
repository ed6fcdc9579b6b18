"""What was decided for one role."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ullage.memory.fidelity import Known
from ullage.memory.weights.precision import ResolvedPrecision
from ullage.units import Interval


@dataclass(frozen=True, slots=True)
class Kernel:
    """The attention kernel a role's model is loaded with, by its name in a workload file."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Placed:
    """Where a role's blocks are: block name to device (`gpu:0`, `cpu`, `disk`), as accelerate's device_map.

    `where` names each device in use once, as it is shown.
    """

    device_map: Mapping[str, str]
    where: str
    reason: str


@dataclass(frozen=True, slots=True)
class LoadedPart:
    """What of a model is loaded: its first `layers` (None: all of it), and the language-model head or not."""

    layers: int | None = None
    head: bool = True
    reason: str = "all of it is read"


@dataclass(frozen=True, slots=True)
class EngineShare:
    """What an engine that takes a share of a card is given: `least` holds its work as planned. Recorded
    graphs of kernels may take `graphs` of the card, and `beside` of it is outside the share. At `given` its
    cache holds `tokens`; `stated` where the file gives that."""

    least: float
    given: float
    tokens: Interval
    graphs: float = 0.0
    beside: float = 0.0
    stated: bool = False

    @property
    def needs(self) -> float:
        """All that its work takes of a card; above 1: not on one card."""
        return self.least + self.beside

    @property
    def taken(self) -> float:
        """The share the engine is started with where the file gives none."""
        return min(self.least, 1.0)


@dataclass(frozen=True, slots=True)
class RolePlan:
    """What was decided for one role; each decision carries its reason. `base` is the hub's model at a commit
    that an adapter is loaded on, empty where its own config names what is. `known` says how it is known what
    its passes take."""

    precision: ResolvedPrecision
    kernel: Kernel
    placement: Placed
    part: LoadedPart
    share: EngineShare | None = None
    base: str = ""
    known: tuple[Known, ...] = ()
