"""Segments that stay cached but unused around what is needed."""

from __future__ import annotations

from typing import Final

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


def unused(expected: int, high: int, around: tuple[int, int]) -> tuple[int, int, int]:
    """Low, expected and high bytes of segments around something of that expected and high value."""
    return 0, expected * around[0] // 100, high * around[1] // 100
