"""torch's allocator on a card without end, in default settings: what replays of many passes ask for."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable
from typing import Final

from ullage.memory.allocator.sizes import MIN_BLOCK, SMALL_REQUEST, segment_size

_ADDRESS_BITS: Final = 48
_ADDRESS: Final = (1 << _ADDRESS_BITS) - 1
_SMALL: Final = 1 << (_ADDRESS_BITS - 1)
"""Where segments of small requests begin; large ones lie below."""


def blocks_bytes(requested: int) -> int:
    """What a request of so many bytes takes of a block: whole multiples of the smallest one."""
    return -(-requested // MIN_BLOCK) * MIN_BLOCK


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
        held: dict[int, int] = {}
        self.run(((0, blocks_bytes(requested)),), held)
        return held[0]

    def give(self, address: int) -> None:
        """Its tensor is gone: one free block with those that it touches."""
        self.run(((0, 0),), {0: address})

    def run(self, steps: Iterable[tuple[int, int]], held: dict[int, int]) -> None:
        """Takes a block of so many bytes under each number; of a number without bytes its block, where it has
        one, is given back. `held` are the addresses by number."""
        pools, begins, ends, sizes = self._pools, self._begins, self._ends, self._held
        allocated, most = self.allocated, self.most
        for number, size in steps:
            if size:
                small = size <= SMALL_REQUEST
                pool = pools[small]
                at = bisect_left(pool, size << _ADDRESS_BITS)
                if at < len(pool):
                    found = pool.pop(at)
                    address, whole = found & _ADDRESS, found >> _ADDRESS_BITS
                    del begins[address], ends[address + whole]
                else:
                    address, whole = self._next[small], segment_size(size)
                    self._next[small] = address + whole + MIN_BLOCK
                    self.reserved += whole
                rest = whole - size
                if rest >= MIN_BLOCK if small else rest > SMALL_REQUEST:
                    begin = address + size
                    insort(pool, rest << _ADDRESS_BITS | begin)
                    begins[begin], ends[begin + rest] = rest, begin
                    whole = size
                held[number], sizes[address] = address, whole
                allocated += whole
                if allocated > most:
                    most = allocated
            elif number in held:
                address = held.pop(number)
                size = sizes.pop(address)
                allocated -= size
                end, pool = address + size, pools[address >= _SMALL]
                before = ends.pop(address, None)
                if before is not None:
                    del pool[bisect_left(pool, begins[before] << _ADDRESS_BITS | before)]
                    address = before
                after = begins.pop(end, None)
                if after is not None:
                    del pool[bisect_left(pool, after << _ADDRESS_BITS | end)], ends[end + after]
                    end += after
                insort(pool, end - address << _ADDRESS_BITS | address)
                begins[address], ends[end] = end - address, address
        self.allocated, self.most = allocated, most

    def branch(self) -> EndlessAllocator:
        """Another one that goes on from here; what is in use stays so."""
        other = EndlessAllocator()
        other.allocated, other.most, other.reserved = self.allocated, self.most, self.reserved
        other._pools = self._pools[0].copy(), self._pools[1].copy()
        other._next = self._next.copy()
        other._begins, other._ends = self._begins.copy(), self._ends.copy()
        return other
