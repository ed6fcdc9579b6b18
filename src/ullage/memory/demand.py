"""What a workload needs before anyone has decided where it goes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

from ullage.facts.architecture import Model
from ullage.memory.needs import RECENT, Need, Needs
from ullage.memory.weights.precision import ResolvedPrecision
from ullage.phases.phase import Phase

if TYPE_CHECKING:
    from ullage.memory.fidelity import Known
    from ullage.memory.vllm.sizes import Served


class Quantized(NamedTuple):
    """Where the loader of a quantization scheme puts weights: on cards of a CUDA compute capability and later
    ones (None: on any), and, where it `offloads`, some of them off the cards beside others there."""

    name: str
    least_capability: tuple[int, int] | None
    offloads: bool


@dataclass(frozen=True, slots=True, eq=False)
class RoleShape:
    """What placement must know of a role: its blocks, its ranks and the file's wishes. Compared by identity.

    `ranks` is the tensor-parallel size: the needs of such a role describe ONE rank, and each rank
    holds every block. `ranks` must divide `heads` (`kv_heads` are copied where they are fewer).
    `splittable` is False for models whose blocks must share one GPU. `quantized` says where its
    weights can be, None where that is anywhere. `places` are where the file puts each block (`gpu:0`, `cpu`,
    `disk`), none where it leaves that open.
    """

    name: str
    blocks: int
    block_names: tuple[str, ...]
    ranks: int
    placement: str | tuple[str, ...]
    max_memory: tuple[tuple[str, int], ...]
    splittable: bool = True
    quantized: Quantized | None = None
    places: tuple[str, ...] = ()


class Spells:
    """What a role needs over the phases of a workload: each distinct thing with the numbers of its phases, in
    the order in which it is first needed. Compared by identity: `spells_of` gives one object for equal ones.

    `size` is the high value of the role's own peak on one device.
    """

    def __init__(self, column: tuple[Needs | None, ...]) -> None:
        found: dict[Needs, list[int]] = {}
        for number, needs in enumerate(column):
            if needs is not None:
                found.setdefault(needs, []).append(number)
        self.phases = len(column)
        self.each = tuple((needs, tuple(numbers)) for needs, numbers in found.items())
        self.size = max([needs.whole[2] for needs in found if needs.on_gpu], default=0)

    def column(self, rows: Iterable[Sequence[int]], stride: int) -> tuple[int, ...]:
        """One of `rows`, of `stride` sizes, is for each thing needed: all phases' rows, one after another."""
        found: list[Sequence[int]] = [(0,) * stride] * self.phases
        for row, (_, phases) in zip(rows, self.each, strict=True):
            for phase in phases:
                found[phase] = row
        return tuple(chain.from_iterable(found))


spells_of = lru_cache(maxsize=RECENT)(Spells)
"""The one `Spells` of what a role needs phase by phase, None where it is not there."""

PROCESS = ""
"""Stands for a role where what is needed is the process's own: paid once on each device in use."""


@dataclass(frozen=True, eq=False)
class Demand:
    """Every need of a workload, phase by phase, with the shapes of its roles. Compared by identity.

    `asked` says for each of `phases` what each role needs then, in the order in which they are resident, the
    process last. `parts` is what of each role's model is loaded, `precisions` what each runs in; `served` how
    an engine with a cache of its own holds a role, and the bytes of that cache that its work takes. `known`
    says of each role how it is known what its passes take.
    """

    phases: tuple[Phase, ...]
    roles: tuple[RoleShape, ...]
    asked: tuple[Mapping[str, Needs], ...]
    parts: Mapping[str, Model] = field(default_factory=dict)
    precisions: Mapping[str, ResolvedPrecision] = field(default_factory=dict)
    served: Mapping[str, tuple[Served, int]] = field(default_factory=dict)
    known: Mapping[str, tuple[Known, ...]] = field(default_factory=dict)

    @cached_property
    def spells(self) -> dict[str, Spells]:
        """By role, and for the process, what it needs over all phases."""
        names = [*(shape.name for shape in self.roles), PROCESS]
        return {name: spells_of(tuple([asked.get(name) for asked in self.asked])) for name in names}

    @property
    def needs(self) -> tuple[Need, ...]:
        """All of them, phase by phase."""
        return tuple(need for asked in self.asked for needs in asked.values() for need in needs.items)
