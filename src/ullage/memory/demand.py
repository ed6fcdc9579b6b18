"""What a workload needs before anyone has decided where it goes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from ullage.facts.architecture import Model
from ullage.memory.weights.precision import ResolvedPrecision
from ullage.phases.phase import Phase
from ullage.units import Interval

ItemKind = Literal[
    "weights",
    "kv_cache",
    "recurrent_state",
    "activations",
    "logits",
    "captures",
    "vision",
    "gradients",
    "optimizer",
    "load",
    "rounding",
    "workspace",
    "fragmentation",
    "context",
    "cuda_graphs",
    "nccl",
]
Basis = Literal["exact", "derived", "measured", "assumed"]
Level = Literal["live", "reserved", "process", "device"]
Combine = Literal["sum", "max", "once"]
Home = Literal["gpu", "host", "disk"]


@dataclass(frozen=True, slots=True)
class Need:
    """One reason for bytes in one phase, before placement.

    `blocks` are indices into the role's blocks: 0 the embeddings (with a vision tower), 1..L the
    layers, L+1 the final norm and head (a pipeline's components are its blocks). `each` is bytes per
    block. `combine` says what a device pays: `sum` over its blocks, `max` over its blocks together
    with every other `max` need of that role, phase and level (temporaries, never alive together), or
    `once` if it holds any block. `level` is the first total it counts in. `home` is where the bytes
    lie: on the GPU that holds the block, in host memory or on disk.
    """

    role: str
    component: ItemKind
    phase: str
    blocks: tuple[int, ...]
    each: Interval
    basis: Basis
    combine: Combine = "sum"
    level: Level = "live"
    home: Home = "gpu"
    note: str = ""


@dataclass(frozen=True, slots=True)
class RoleShape:
    """What placement must know of a role: its blocks, its ranks and the file's wishes.

    `ranks` is the tensor-parallel size: the needs of such a role describe ONE rank, and each rank
    holds every block. `ranks` must divide `heads` (`kv_heads` are copied where they are fewer).
    `splittable` is False for models whose blocks must share one GPU.
    """

    name: str
    blocks: int
    block_names: tuple[str, ...]
    ranks: int
    placement: str | tuple[str, ...]
    max_memory: tuple[tuple[str, int], ...]
    splittable: bool = True


@dataclass(frozen=True, slots=True)
class Demand:
    """Every need of a workload, phase by phase, with the shapes of its roles.

    `process` needs (role "") are paid once per GPU in use, whatever runs there. `parts` is what of each
    role's model is loaded, `precisions` what each runs in.
    """

    phases: tuple[Phase, ...]
    roles: tuple[RoleShape, ...]
    needs: tuple[Need, ...]
    parts: Mapping[str, Model] = field(default_factory=dict)
    precisions: Mapping[str, ResolvedPrecision] = field(default_factory=dict)
