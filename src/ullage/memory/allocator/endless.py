"""torch's allocator on a card without end, in default settings: what replays of many passes ask for."""

from __future__ import annotations

from bisect import bisect_left, insort
from typing import Final

from ullage.memory.allocator.sizes import MIN_BLOCK, SMALL_REQUEST, segment_size

_ADDRESS_BITS: Final = 48
_ADDRESS: Final = (1 << _ADDRESS_BITS) - 1
_SMALL: Final = 1 << (_ADDRESS_BITS - 1)
"""Where segments of small requests begin; large ones lie below."""


class EndlessAllocator:
    """As `CachingAllocator` counts without settings and capacity, which tell and keep more: half its time.

    A block is named by its address. Between segments lies a gap, so that blocks which touch are of one.
    Invariant: free blocks do not touch; each pool has theirs as size and address in one number, ascending;
    `most` is the largest `allocated` has been, and `reserved` never falls.
    """

    __slots__ = ("_begins", "_ends", "_held", "_next", "_pools", "allocated", "most", "reserved")

    def __init__(self) -> None:
        self.allocated = self.most = self.reserved = 0
        self._pools: tuple[list[int], list[int]] = [], []
        self._next = [0, _SMALL]
        self._held: dict[int, int] = {}
        self._begins: dict[int, int] = {}  # sizes of free blocks by where they begin
        self._ends: dict[int, int] = {}  # where they begin by where they end

    def take(self, requested: int) -> int:
        """A block for so many bytes (at least 1): the smallest that is free, of equal ones the lowest."""
        size = -(-requested // MIN_BLOCK) * MIN_BLOCK
        small = size <= SMALL_REQUEST
        pool = self._pools[small]
        at = bisect_left(pool, size << _ADDRESS_BITS)
        if at < len(pool):
            found = pool.pop(at)
            address, whole = found & _ADDRESS, found >> _ADDRESS_BITS
            del self._begins[address], self._ends[address + whole]
        else:
            address, whole = self._next[small], segment_size(size)
            self._next[small] = address + whole + MIN_BLOCK
            self.reserved += whole
        rest = whole - size
        if rest >= MIN_BLOCK if small else rest > SMALL_REQUEST:
            begin = address + size
            insort(pool, rest << _ADDRESS_BITS | begin)
            self._begins[begin], self._ends[begin + rest] = rest, begin
            whole = size
        self._held[address] = whole
        self.allocated += whole
        if self.allocated > self.most:
            self.most = self.allocated
        return address

    def give(self, address: int) -> None:
        """Its tensor is gone: one free block with those that it touches."""
        size = self._held.pop(address)
        self.allocated -= size
        end, pool = address + size, self._pools[address >= _SMALL]
        before = self._ends.pop(address, None)
        if before is not None:
            del pool[bisect_left(pool, self._begins[before] << _ADDRESS_BITS | before)]
            address = before
        after = self._begins.pop(end, None)
        if after is not None:
            del pool[bisect_left(pool, after << _ADDRESS_BITS | end)], self._ends[end + after]
            end += after
        insort(pool, end - address << _ADDRESS_BITS | address)
        self._begins[address], self._ends[end] = end - address, address

    def branch(self) -> EndlessAllocator:
        """Another one that goes on from here; what is in use stays so."""
        other = EndlessAllocator()
        other.allocated, other.most, other.reserved = self.allocated, self.most, self.reserved
        other._pools = self._pools[0].copy(), self._pools[1].copy()
        other._next = self._next.copy()
        other._begins, other._ends = self._begins.copy(), self._ends.copy()
        return other
