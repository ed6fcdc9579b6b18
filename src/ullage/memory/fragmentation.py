"""Segments that stay cached but unused around what is needed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from ullage.memory.demand import Group, Need
from ullage.units import Interval

ALLOCATOR_ITEMS: Final = frozenset({"rounding", "fragmentation"})
"""What torch's caching allocator adds on a GPU."""
Around = tuple[int, int] | None
"""Expected and high value of segments that stay cached, percent; None where there are none."""
CACHE_FRAGMENTATION: Final = (2, 10)
ACTIVATION_FRAGMENTATION: Final[Around] = (21, 30)
QUADRATIC_FRAGMENTATION: Final[Around] = (21, 60)
"""Around a growing cache, around temporaries, and around those of kernels that hold all scores: 20 to 26
around temporaries on an H200, at most 54 where attention is eager
(benchmarks/results/gpu-NVIDIA-H200.json)."""


def group_of(needs: Iterable[Need], on_processor: bool, around: Around) -> Group:
    """`needs` with the cached but unused segments around them: around temporaries as `around` says.

    A processor's tensors come from malloc, which has neither those nor the allocator's rounding.
    """
    items = tuple(needs)
    if on_processor:
        return Group(tuple(need for need in items if need.component not in ALLOCATOR_ITEMS))
    return Group(items, () if around is None else _fragmentation(items, around))


def _fragmentation(needs: tuple[Need, ...], around: tuple[int, int]) -> tuple[Need, ...]:
    """Cached but unused segments around caches and temporaries; none with expandable segments."""
    found = []
    for need in needs:
        if need.combine == "max":
            expected, most = around
        elif need.component == "kv_cache" and need.combine == "sum":
            expected, most = CACHE_FRAGMENTATION
        else:
            continue
        if need.home == "gpu":
            unused = Interval(0, need.each.expected * expected // 100, need.each.high * most // 100)
            found.append(Need("fragmentation", need.blocks, unused, "assumed", need.combine, "reserved"))
    return tuple(found)
