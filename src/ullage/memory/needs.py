"""What a role needs while it does one thing, with the sums that placement and time ask for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from itertools import accumulate
from operator import add
from typing import Final, Literal, NamedTuple

from ullage.memory.fragmentation import ALLOCATOR_ITEMS, CACHE_FRAGMENTATION, Around, unused
from ullage.units import Interval

ItemKind = Literal[
    "weights",
    "kv_cache",
    "recurrent_state",
    "activations",
    "logits",
    "captures",
    "probes",
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
Basis = Literal["exact", "traced", "derived", "measured", "assumed"]
Level = Literal["live", "reserved", "process", "device"]
Combine = Literal["sum", "here", "away", "max", "once"]
Home = Literal["gpu", "host", "disk"]


class Need(NamedTuple):
    """One reason for bytes of one role in one phase, before placement.

    `blocks` are ascending indices into the role's blocks: 0 the embeddings (with a vision tower), 1..L the
    layers, L+1 the final norm and head (a pipeline's components are its blocks). `each` is bytes per
    block. `combine` says what a device pays: `sum` over its blocks, `max` over its blocks together
    with every other `max` need of that role, phase and level (temporaries, never alive together), or
    `once` if it holds any block; `here` is a sum that a block costs on a GPU alone, `away` one that it costs
    in host memory or on disk alone. `level` is the first total it counts in. `home` is where the bytes
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


RECENT: Final = 192
PASSES: Final = 64
"""How many results are remembered of what candidates differ in: of roles a few candidates' worth, of what one
pass comes to fewer. A search comes back to what it asked for lately; to remember all costs more time than it
saves, in memory touched."""
Ends = tuple[int, int, int]
"""Low, expected and high value."""
OUTSIDE: Final[tuple[Level, ...]] = ("process", "device")
"""Levels of what torch's allocator does not reserve."""


class Group:
    """Needs that change together, with their sums. Compared by identity: equal ones are made once.

    With `around`, segments stay cached but unused around temporaries as it says, and around caches. `sums` is
    what is paid by the block, or once, by a GPU that holds every block, `outside` those of it that torch's
    allocator does not reserve; `largest` the maximum of the temporaries of each level; `elsewhere` lies on
    the host or on disk, whoever holds the blocks. `temporary` says that some of all these needs, wherever
    they lie, are temporaries.
    """

    def __init__(self, items: tuple[Need, ...], around: Around = None) -> None:
        self.items, self.around = items, around
        self.fixed = self.kept = self.passing = 0
        self.temporary = False
        self.largest: dict[Level, Ends] = {}
        elsewhere: list[Need] = []
        low_sum = expected_sum = high_sum = 0
        self.outside: Ends = 0, 0, 0
        weights = cache = 0
        for need in items:
            component, where, (low, expected, high), _, combine, level, home, _ = need
            count = len(where)
            if component == "weights" and combine != "away":
                weights += expected * count
            elif (component == "kv_cache" or component == "recurrent_state") and level == "live":
                cache += expected * count
            if combine == "max":
                self.temporary = True
            if home != "gpu":
                elsewhere.append(need)
                continue
            if combine == "away":
                self.passing = max(self.passing, high)
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
                self.passing = max(self.passing, high)  # `away` is never less
            else:
                self.kept += high * count
            low_sum += low * count
            expected_sum += expected * count
            high_sum += high * count
            if level in OUTSIDE:
                self.outside = summed(self.outside, (low * count, expected * count, high * count))
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
        if need.combine not in ("sum", "here") or need.home != "gpu":
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
    beside its roles. `whole` is what a GPU pays that holds every block, `reserved` those of it that torch's
    allocator reserves; `elsewhere` lies on the host or on disk, whoever holds them.

    High values of what lies on GPUs: `fixed` of what a device pays however few of the blocks it holds,
    `kept` of the caches that stay on the first GPU where weights are offloaded, `passing` of the largest
    block's weights. `read` is the expected bytes of weights, and of caches and states in use, wherever they
    lie.
    """

    def __init__(self, groups: tuple[Group, ...], blocks: int = 0) -> None:
        self.groups, self.blocks = groups, blocks
        fixed = kept = passing = 0
        low = expected = high = 0
        weights = cache = 0
        elsewhere: tuple[Need, ...] = ()
        on_gpu = False
        outside: Ends = 0, 0, 0
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
            outside = summed(outside, group.outside) if group.outside[2] else outside
            for level, ends in group.largest.items():
                largest[level] = highest(largest.get(level), *ends)
        for level, ends in largest.items():
            outside = summed(outside, ends) if level in OUTSIDE else outside
            fixed += ends[2]
            low, expected, high = low + ends[0], expected + ends[1], high + ends[2]
        self.fixed, self.kept, self.passing = fixed, kept, passing
        self.elsewhere, self.on_gpu = elsewhere, on_gpu
        self.whole: Ends = low, expected, high
        self.reserved: Ends = low - outside[0], expected - outside[1], high - outside[2]
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
        """High value of each block's weights where it waits off the GPUs."""
        found: dict[int, int] = {}
        for need in self.items:
            if need.component == "weights" and need.home == "gpu" and need.combine != "here":
                for block in need.blocks:
                    found[block] = found.get(block, 0) + need.each.high
        return found


def group_of(needs: Iterable[Need], on_processor: bool, around: Around) -> Group:
    """`needs` as a group. A processor's tensors come from malloc, which keeps no segments and does not round
    as the allocator does."""
    if on_processor:
        return Group(tuple([need for need in needs if need.component not in ALLOCATOR_ITEMS]))
    return Group(tuple(needs), around)


def summed(one: Ends, other: Ends) -> Ends:
    """Both, end by end."""
    return one[0] + other[0], one[1] + other[1], one[2] + other[2]


def highest(held: Ends | None, low: int, expected: int, high: int) -> Ends:
    """The maximum, end by end."""
    if held is None:
        return low, expected, high
    return max(held[0], low), max(held[1], expected), max(held[2], high)
