"""What a workload needs before anyone has decided where it goes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from itertools import accumulate, chain
from operator import add
from typing import Final, Literal, NamedTuple

from ullage.facts.architecture import Model
from ullage.memory.fragmentation import ALLOCATOR_ITEMS, CACHE_FRAGMENTATION, Around, unused
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


class Need(NamedTuple):
    """One reason for bytes of one role in one phase, before placement.

    `blocks` are ascending indices into the role's blocks: 0 the embeddings (with a vision tower), 1..L the
    layers, L+1 the final norm and head (a pipeline's components are its blocks). `each` is bytes per
    block. `combine` says what a device pays: `sum` over its blocks, `max` over its blocks together
    with every other `max` need of that role, phase and level (temporaries, never alive together), or
    `once` if it holds any block. `level` is the first total it counts in. `home` is where the bytes
    lie: on the GPU that holds the block, in host memory or on disk.
    """

    component: ItemKind
    blocks: tuple[int, ...]
    each: Interval
    basis: Basis
    combine: Combine = "sum"
    level: Level = "live"
    home: Home = "gpu"
    note: str = ""


RECENT: Final = 48
PASSES: Final = 16
"""How many results are remembered of what candidates differ in: of roles a few candidates' worth, of what one
pass comes to fewer. A search comes back to what it asked for lately; to remember all costs more time than it
saves, in memory touched."""
Ends = tuple[int, int, int]
"""Low, expected and high value."""


class Group:
    """Needs that change together, with their sums. Compared by identity: equal ones are made once.

    With `around`, segments stay cached but unused around temporaries as it says, and around caches. `sums` is
    what is paid by the block, or once, by a GPU that holds every block; `largest` the maximum of the
    temporaries of each level; `elsewhere` lies on the host or on disk, whoever holds the blocks.
    """

    def __init__(self, items: tuple[Need, ...], around: Around = None) -> None:
        self.items, self.around = items, around
        self.fixed = self.kept = self.passing = 0
        self.largest: dict[Level, Ends] = {}
        elsewhere: list[Need] = []
        low_sum = expected_sum = high_sum = 0
        weights = cache = 0
        for need in items:
            component, where, (low, expected, high), _, combine, level, home, _ = need
            count = len(where)
            if component == "weights":
                weights += expected * count
            elif component == "kv_cache" or component == "recurrent_state":
                cache += expected * count
            if home != "gpu":
                elsewhere.append(need)
                continue
            if combine == "max":
                self.largest[level] = highest(self.largest.get(level), low, expected, high)
                continue
            if component == "kv_cache" and around is not None:
                _, spare, most = unused(expected, high, CACHE_FRAGMENTATION)
                expected, high = expected + spare, high + most
            if combine == "once":
                self.fixed += high
                count = 1
            elif component == "weights":
                self.passing = max(self.passing, high)
            else:
                self.kept += high * count
            low_sum += low * count
            expected_sum += expected * count
            high_sum += high * count
        if around is not None:
            add_unused(self.largest, around)
        self.elsewhere = tuple(elsewhere)
        self.on_gpu = len(elsewhere) < len(items)
        self.sums: Ends = low_sum, expected_sum, high_sum
        self.read = weights, cache

    @property
    def fragmentation(self) -> Iterator[Need]:
        """Cached but unused segments around each cache and each temporary."""
        if self.around is None:
            return
        for need in self.items:
            around = self.around if need.combine == "max" else CACHE_FRAGMENTATION
            if need.home == "gpu" and (need.combine == "max" or need.component == "kv_cache"):
                each = Interval(*unused(need.each.expected, need.each.high, around))
                yield Need("fragmentation", need.blocks, each, "assumed", need.combine, "reserved")

    def up_to(self, blocks: int) -> list[int] | None:
        """High values of what is paid by the block, of all blocks before each; None where nothing is."""
        if self.kept or self.passing:
            if self._up_to is None:
                self._up_to = _running_sums(self.items, self.around, blocks)
            return self._up_to
        return None

    _up_to: list[int] | None = None


def add_unused(largest: dict[Level, Ends], around: tuple[int, int]) -> None:
    """The segments around the largest temporaries of all levels, which are the largest such segments."""
    expected = max([ends[1] for ends in largest.values()], default=0)
    high = max([ends[2] for ends in largest.values()], default=0)
    if high:
        largest["reserved"] = highest(largest.get("reserved"), *unused(expected, high, around))


def _running_sums(needs: tuple[Need, ...], around: Around, blocks: int) -> list[int]:
    # Kept as steps up and down until all needs are counted: most cover a range of blocks.
    steps = [0] * (blocks + 1)
    for need in needs:
        where, high = need.blocks, need.each.high
        if need.combine != "sum" or need.home != "gpu":
            continue
        if around is not None and need.component == "kv_cache":
            high += unused(0, high, CACHE_FRAGMENTATION)[2]
        first, last = where[0], where[-1]
        if last - first + 1 == len(where):
            steps[first] += high
            steps[last + 1] -= high
            continue
        for block in where:
            steps[block] += high
            steps[block + 1] -= high
    return [0, *accumulate(accumulate(steps[:-1]))]


class Needs:
    """What one role needs in one phase, with the sums that placement and time ask for.

    It names neither, so phases in which a role does the same share one. Compared by identity. It is made of
    `groups`, which it shares with others. `blocks` is how many the role has; 0 for what the process needs
    beside its roles. `whole` is what a GPU pays that holds every block; `elsewhere` lies on the host or on
    disk, whoever holds them.

    High values of what lies on GPUs: `fixed` of what a device pays however few of the blocks it holds,
    `kept` of the caches that stay on the first GPU where weights are offloaded, `passing` of the largest
    block's weights. `read` is the expected bytes of weights, and of caches and states, wherever they lie.
    """

    def __init__(self, groups: tuple[Group, ...], blocks: int = 0) -> None:
        self.groups, self.blocks = groups, blocks
        fixed = kept = passing = 0
        low = expected = high = 0
        weights = cache = 0
        elsewhere: tuple[Need, ...] = ()
        on_gpu = False
        largest: dict[Level, Ends] = {}
        for group in groups:
            fixed += group.fixed
            kept += group.kept
            passing = max(passing, group.passing)
            low, expected, high = low + group.sums[0], expected + group.sums[1], high + group.sums[2]
            weights, cache = weights + group.read[0], cache + group.read[1]
            if group.elsewhere:
                elsewhere += group.elsewhere
            on_gpu = on_gpu or group.on_gpu
            for level, ends in group.largest.items():
                largest[level] = highest(largest.get(level), *ends)
        for ends in largest.values():
            fixed += ends[2]
            low, expected, high = low + ends[0], expected + ends[1], high + ends[2]
        self.fixed, self.kept, self.passing = fixed, kept, passing
        self.elsewhere, self.on_gpu = elsewhere, on_gpu
        self.whole: Ends = low, expected, high
        self.read = weights, cache

    @cached_property
    def items(self) -> tuple[Need, ...]:
        """Each of them, as a bill lists them."""
        first = [need for group in self.groups for need in group.items]
        return (*first, *(need for group in self.groups for need in group.fragmentation))

    @cached_property
    def up_to(self) -> list[int]:
        """High values of what is paid by the block, of all blocks before each: `blocks` + 1 values."""
        parts = [part for group in self.groups if (part := group.up_to(self.blocks)) is not None]
        found = parts[0] if parts else [0] * (self.blocks + 1)
        for part in parts[1:]:
            found = [*map(add, found, part)]
        return found

    def weights(self) -> dict[int, int]:
        """High value of each block's weights on a GPU."""
        found: dict[int, int] = {}
        for need in self.items:
            if need.component == "weights" and need.home == "gpu":
                found |= dict.fromkeys(need.blocks, need.each.high)
        return found


def group_of(needs: Iterable[Need], on_processor: bool, around: Around) -> Group:
    """`needs` as a group. A processor's tensors come from malloc, which keeps no segments and does not round
    as the allocator does."""
    if on_processor:
        return Group(tuple([need for need in needs if need.component not in ALLOCATOR_ITEMS]))
    return Group(tuple(needs), around)


def highest(held: Ends | None, low: int, expected: int, high: int) -> Ends:
    """The maximum, end by end."""
    if held is None:
        return low, expected, high
    return max(held[0], low), max(held[1], expected), max(held[2], high)


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
    weights can be, None where that is anywhere.
    """

    name: str
    blocks: int
    block_names: tuple[str, ...]
    ranks: int
    placement: str | tuple[str, ...]
    max_memory: tuple[tuple[str, int], ...]
    splittable: bool = True
    quantized: Quantized | None = None


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


@dataclass(frozen=True)
class Demand:
    """Every need of a workload, phase by phase, with the shapes of its roles.

    `asked` says for each of `phases` what each role needs then, in the order in which they are resident, the
    process last. `parts` is what of each role's model is loaded, `precisions` what each runs in.
    """

    phases: tuple[Phase, ...]
    roles: tuple[RoleShape, ...]
    asked: tuple[Mapping[str, Needs], ...]
    parts: Mapping[str, Model] = field(default_factory=dict)
    precisions: Mapping[str, ResolvedPrecision] = field(default_factory=dict)

    @cached_property
    def spells(self) -> dict[str, Spells]:
        """By role, and for the process, what it needs over all phases."""
        names = [*(shape.name for shape in self.roles), PROCESS]
        return {name: spells_of(tuple([asked.get(name) for asked in self.asked])) for name in names}

    @property
    def needs(self) -> tuple[Need, ...]:
        """All of them, phase by phase."""
        return tuple(need for asked in self.asked for needs in asked.values() for need in needs.items)
