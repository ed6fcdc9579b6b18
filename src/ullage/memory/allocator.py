"""What torch's caching allocator counts for the tensors it is asked for.

Sizes and rules: torch 2.13 c10/core/AllocatorConfig.h and c10/cuda/CUDACachingAllocator.cpp
(default settings: no max_split_size, no expandable segments).
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable
from typing import NamedTuple

from ullage.units import MIB, Interval

MIN_BLOCK = 512
"""Every request is rounded up to a multiple of this, in bytes."""
SMALL_REQUEST = MIB
"""Requests up to here come from the small pool; a large block keeps a remainder up to this size."""
SMALL_SEGMENT = 2 * MIB
LARGE_SEGMENT = 20 * MIB
OWN_SEGMENT_FROM = 10 * MIB
OWN_SEGMENT_ROUNDING = 2 * MIB

KEPT_REMAINDER = SMALL_REQUEST // 2
"""Expected bytes a growing 1-10 MiB tensor's block holds beyond its request.

A large block is only split when more than SMALL_REQUEST would remain, so a block reused for a
slightly different size carries 0 to 1 MiB extra, on average half of it.
"""


class Allocation(NamedTuple):
    """Bytes asked for, counted as allocated, and reserved in segments."""

    requested: int
    allocated: int
    reserved: int


def allocate(sizes: Iterable[int], warmed: int = 0) -> Allocation:
    """Replays persistent allocations of `sizes` bytes, in order, against an allocator that was asked for
    `warmed` bytes at once and given them back.

    Best fit in the pool of the request's class, split when the remainder is large enough; nothing
    is freed. Exact for weights loaded one after the other; ignores what the load itself frees.
    """
    free: tuple[list[int], list[int]] = ([], [])
    requested = allocated = reserved = 0
    if warmed:
        reserved = _segment(warmed)
        free[warmed <= SMALL_REQUEST].append(reserved)
    for size in sizes:
        if size == 0:
            continue
        requested += size
        size = -(-size // MIN_BLOCK) * MIN_BLOCK
        small = size <= SMALL_REQUEST
        pool = free[small]
        at = bisect_left(pool, size)
        if at < len(pool):
            block = pool.pop(at)
        else:
            block = _segment(size)
            reserved += block
        remainder = block - size
        if remainder >= MIN_BLOCK if small else remainder > SMALL_REQUEST:
            insort(pool, remainder)
            allocated += size
        else:
            allocated += block
    return Allocation(requested, allocated, reserved)


def _segment(size: int) -> int:
    if size <= SMALL_REQUEST:
        return SMALL_SEGMENT
    if size < OWN_SEGMENT_FROM:
        return LARGE_SEGMENT
    return -(-size // OWN_SEGMENT_ROUNDING) * OWN_SEGMENT_ROUNDING


def growing_remainder(size: int) -> Interval:
    """Bytes beyond `size` that the block of one growing tensor counts for."""
    if size <= SMALL_REQUEST:
        return Interval(0, 0, MIN_BLOCK)
    if size < OWN_SEGMENT_FROM:
        return Interval(0, KEPT_REMAINDER, SMALL_REQUEST)
    return fixed_remainder(size)


def fixed_remainder(size: int) -> Interval:
    """Bytes beyond `size` for one tensor that is allocated once, in its final size."""
    if size <= SMALL_REQUEST:
        return Interval(0, 0, MIN_BLOCK)
    if size < OWN_SEGMENT_FROM:
        return Interval(0, 0, SMALL_REQUEST)
    remainder = -size % OWN_SEGMENT_ROUNDING
    kept = remainder if remainder <= SMALL_REQUEST else 0
    return Interval(0, kept, max(kept, SMALL_REQUEST))
