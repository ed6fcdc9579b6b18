"""torch's caching allocator, replayed: which segments a card is asked for, and what lies in them.

Follows c10/cuda/CUDACachingAllocator.cpp of torch 2.11 to 2.13, for one stream and without graphs: best fit
by size and then by address in the pool of the request's class, blocks split and merged, segments kept until
memory runs out. Addresses are made up, in the order in which segments come, as a driver's mostly are.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

from ullage.memory.allocator.blocks import Block, Pool
from ullage.memory.allocator.full import Full
from ullage.memory.allocator.settings import INTERVALS, Settings
from ullage.memory.allocator.sizes import (
    MIN_BLOCK,
    SMALL_REQUEST,
    SMALL_SEGMENT,
    segment_size,
)
from ullage.units import MIB

Action = Literal[
    "alloc",
    "free_requested",
    "free_completed",
    "segment_alloc",
    "segment_free",
    "segment_map",
    "segment_unmap",
    "oom",
]
"""What torch's own history calls what happens."""
FIRST_ADDRESS: Final = 1 << 44
ADDRESS_SPACE: Final = 1 << 42
"""Bytes of addresses an expandable segment may grow into; no card has as many."""


class Act(NamedTuple):
    """One thing that happened, at an address, with so many bytes."""

    action: Action
    address: int
    bytes: int


class CachingAllocator:
    """Segments of one card, of which `capacity` bytes are there for them (None: as many as wanted).

    Invariant: `requested` <= `allocated` <= `reserved`, the bytes of tensors, of their blocks and of
    segments; the blocks of a segment tile it. With `acts` what happens is told there.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        capacity: int | None = None,
        acts: list[Act] | None = None,
    ) -> None:
        self.settings = settings or Settings()
        self.capacity, self.acts = capacity, acts
        self.requested = self.allocated = self.reserved = 0
        self._small, self._large = Pool(True), Pool(False)
        self._next = FIRST_ADDRESS
        self._stepped = any(self.settings.divisions)
        self._segments: dict[int, int] = {}

    @property
    def stuck(self) -> int:
        """Reserved bytes that no tensor has and that cannot be given back: fragments of segments in use."""
        return sum(block.stuck for pool in (self._small, self._large) for block in pool)

    def allocate(self, requested: int) -> Block:
        """A block for so many bytes (at least 1). Raises Full."""
        size = self.rounded(requested)
        pool = self._small if size <= SMALL_REQUEST else self._large
        block = self._cached(pool, size)
        if block is None:
            self._collect()
            block = self._made(pool, size)
        if block is None:
            self._release_large_enough(pool, size)
            block = self._made(pool, size)
        if block is None:
            self.release()
            block = self._made(pool, size)
        if block is None:
            self._tell("oom", (self.capacity or 0) - self.reserved, size)
            wanted = size if self.settings.expandable else segment_size(size, self.settings.large_segment)
            raise Full(requested, wanted, self.capacity or 0, self.reserved, self.allocated)
        if self._splits(block, size):
            pool.add(block.cut(size))
        block.free, block.requested = False, requested
        self.requested += requested
        self.allocated += block.size
        if self.acts is not None:
            self._tell("alloc", block.address, requested)
        return block

    def free(self, block: Block) -> None:
        """Its tensor is gone."""
        assert not block.free
        self.requested -= block.requested
        self.allocated -= block.size
        if self.acts is not None:
            self._tell("free_requested", block.address, block.requested)
            self._tell("free_completed", block.address, block.requested)
        pool = block.pool
        block.free = True
        pool.add(pool.merged(block))

    def release(self) -> None:
        """Gives back what can be: segments that no tensor is in, pages of expandable ones (`empty_cache`)."""
        for pool in (self._large, self._small):
            for block in pool:
                if block.page:
                    self._unmap(block)
                elif not block.split:
                    self._give_back(block)

    def rounded(self, requested: int) -> int:
        """The bytes of the smallest block for a request."""
        steps = 0
        if self._stepped:
            interval = requested.bit_length() - MIB.bit_length()
            steps = self.settings.divisions[min(max(interval, 0), INTERVALS - 1)]
        if steps > 1 and requested > MIN_BLOCK * steps:
            power = 1 << (requested.bit_length() - 1)
            step = power // steps or power
            return -(-requested // step) * step
        return max(-(-requested // MIN_BLOCK) * MIN_BLOCK, MIN_BLOCK)

    def _cached(self, pool: Pool, size: int) -> Block | None:
        """The free block that is taken for `size` bytes, out of its pool."""
        pool.turns += 1
        found = pool.best(size)
        if found is None:
            return None
        if found.page:
            for other in pool.fitting(size):  # the least that a block could grow to counts, not what it has
                if other is not found and _growable(other) >= _growable(found):
                    break
                found = other
        limit = self.settings.max_split
        if limit is not None:
            if size < limit <= found.size:
                return None
            if size >= limit and found.size >= size + self.settings.unsplit_rounding:
                return None
        pool.remove(found)
        return found

    def _splits(self, block: Block, size: int) -> bool:
        rest = block.size - size
        if block.pool.small or self.settings.expandable:
            return rest >= MIN_BLOCK
        limit = self.settings.max_split
        return (limit is None or size < limit) and rest > SMALL_REQUEST

    @property
    def _limit(self) -> float:
        if self.capacity is None:
            return float("inf")
        return int(self.capacity * self.settings.fraction)

    def _made(self, pool: Pool, size: int) -> Block | None:
        """A block of new memory; None where the card has no more."""
        wanted = segment_size(size, self.settings.large_segment)
        if self.settings.fraction < 1 and self.reserved + wanted > self._limit:
            return None
        if self.settings.expandable:
            return self._grown(pool, size)
        if self.reserved + wanted > self._limit:
            return None
        block = Block(self._next, wanted, pool)
        self._next += wanted
        self.reserved += wanted
        self._segments[block.address] = wanted
        self._tell("segment_alloc", block.address, wanted)
        return block

    def _grown(self, pool: Pool, size: int) -> Block | None:
        """The lowest free addresses for `size` bytes, with pages mapped where they have none."""
        block = next(filter(None, (_room(space, size) for space in pool.spaces)), None)
        if block is None:
            page = SMALL_SEGMENT if pool.small else self.settings.large_segment
            start = -(-self._next // page) * page
            block = Block(start, ADDRESS_SPACE, pool, page, mapped=False)
            self._next = start + ADDRESS_SPACE
            pool.add(block)
        if not block.mapped:
            mapped = self._map(block, min(block.size, size))
            if mapped is None:
                return None
            block = mapped
        while block.size < size:
            assert block.after is not None
            mapped = self._map(block.after, min(size - block.size, block.after.size))
            if mapped is None:
                return None
            block = mapped
        pool.remove(block)
        return block

    def _map(self, space: Block, size: int) -> Block | None:
        """Pages for the first `size` bytes of unmapped addresses, as a free block with what is beside it."""
        pool, wanted = space.pool, -(-size // space.page) * space.page
        if self.reserved + wanted > self._limit:
            return None
        pool.remove(space)
        if wanted < space.size:
            pool.add(space.cut(wanted))
        space.mapped = True
        self.reserved += wanted
        self._tell("segment_map", space.address, wanted)
        block = pool.merged(space)
        pool.add(block)
        return block

    def _unmap(self, block: Block) -> None:
        begin, end = block.whole_pages
        if begin == end:
            return
        pool = block.pool
        pool.remove(block)
        if begin > block.address:
            rest = block.cut(begin - block.address)
            pool.add(block)
            block = rest
        if end < block.address + block.size:
            pool.add(block.cut(end - block.address))
        block.mapped = False
        self.reserved -= end - begin
        self._tell("segment_unmap", begin, end - begin)
        pool.add(pool.merged(block))

    def _give_back(self, block: Block) -> None:
        block.pool.remove(block)
        del self._segments[block.address]
        self.reserved -= block.size
        self._tell("segment_free", block.address, block.size)

    def _collect(self) -> None:
        """Old segments go once a share of what may be used is reserved (garbage_collection_threshold)."""
        if not self.settings.collects_from or self.settings.fraction == 1 or self.capacity is None:
            return
        target = self.reserved - int(self.settings.collects_from * self._limit)
        held = [block for block in self._large if not block.split]
        while target > 0 and held:
            turns = self._large.turns
            mean = sum(turns - block.age for block in held) / len(held)
            old = [block for block in held if turns - block.age >= mean]
            for block in old:
                target -= block.size
                self._give_back(block)
            held = [block for block in held if block not in old]

    def _release_large_enough(self, pool: Pool, size: int) -> None:
        """Where large blocks are not split, some of them go before everything does."""
        limit = self.settings.max_split
        if limit is None:
            return
        wanted = max(size, limit)
        enough = pool.best(wanted)
        if enough is not None:
            if not enough.split and not enough.page:
                self._give_back(enough)
            return
        for block in list(pool.below(wanted)):
            if wanted <= 0 or block.size < limit:
                return
            wanted -= block.size
            if not block.split and not block.page:
                self._give_back(block)

    def _tell(self, action: Action, address: int, size: int) -> None:
        if self.acts is not None:
            self.acts.append(Act(action, address, size))


def _growable(block: Block) -> int:
    """Its bytes, with the unmapped addresses behind it."""
    after = block.after
    return block.size + (after.size if after is not None and not after.mapped else 0)


def _room(space: Block, size: int) -> Block | None:
    """The block from which on `size` bytes of addresses are free: `space`, or the free block before it."""
    before = space.before
    first = before if before is not None and before.free else space
    room, block = 0, first
    while block is not None and block.free and room < size:
        room += block.size
        block = block.after  # type: ignore[assignment]
    return first if room >= size else None
