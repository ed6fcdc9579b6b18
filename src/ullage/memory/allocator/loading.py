"""Weights, as they come to a card one after the other."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable
from typing import NamedTuple

from ullage.memory.allocator.caching import CachingAllocator
from ullage.memory.allocator.sizes import MIN_BLOCK, SMALL_REQUEST, segment_size


class Allocation(NamedTuple):
    """Bytes asked for, counted as allocated, and reserved in segments."""

    requested: int
    allocated: int
    reserved: int


def load_into(allocator: CachingAllocator, sizes: Iterable[int], warmed: int = 0) -> None:
    """Asks for tensors of `sizes` bytes, in order, which stay; before them for `warmed` bytes at once, which
    are given back. Ignores what the load itself frees. Raises Full."""
    if warmed:
        allocator.free(allocator.allocate(warmed))
    for size in sizes:
        if size:
            allocator.allocate(size)


def allocate(sizes: Iterable[int], warmed: int = 0) -> Allocation:
    """What an allocator in torch's default settings counts after such a load.

    As `load_into` finds it, a tenth of whose time this takes because nothing is freed: sizes of free blocks
    are all there is to know.
    """
    free: tuple[list[int], list[int]] = ([], [])
    requested = allocated = reserved = 0
    if warmed:
        reserved = segment_size(warmed)
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
            block = segment_size(size)
            reserved += block
        remainder = block - size
        if remainder >= MIN_BLOCK if small else remainder > SMALL_REQUEST:
            insort(pool, remainder)
            allocated += size
        else:
            allocated += block
    return Allocation(requested, allocated, reserved)
