"""Sizes of torch's caching allocator, and what a block may hold beyond one tensor.

Source: torch 2.13 c10/core/AllocatorConfig.h and c10/cuda/CUDACachingAllocator.cpp (default settings: no
max_split_size, no expandable segments).
"""

from __future__ import annotations

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


def segment_size(size: int, large: int = LARGE_SEGMENT) -> int:
    """Bytes of the segment that a card is asked for when no block is free for `size` bytes; `large` is what
    requests of 1 to 10 MiB share."""
    if size <= SMALL_REQUEST:
        return SMALL_SEGMENT
    if size < OWN_SEGMENT_FROM:
        return large
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
