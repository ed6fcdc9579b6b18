"""Blocks of memory, their neighbours, and the pools of those that are free."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator


class Block:
    """`size` bytes from `address` on, between its neighbours of the same segment.

    Of an expandable segment a block that is not `mapped` is address space alone, with no byte of the card
    behind it. `page` is the size of such a segment's pages, 0 for a block of any other.
    """

    __slots__ = ("address", "after", "age", "before", "free", "mapped", "page", "pool", "requested", "size")

    def __init__(self, address: int, size: int, pool: Pool, page: int = 0, mapped: bool = True) -> None:
        self.address, self.size, self.pool = address, size, pool
        self.page, self.mapped = page, mapped
        self.before: Block | None = None
        self.after: Block | None = None
        self.free = True
        self.requested = self.age = 0

    @property
    def split(self) -> bool:
        """Whether it is a part of its segment."""
        return self.before is not None or self.after is not None

    @property
    def whole_pages(self) -> tuple[int, int]:
        """Where the pages begin and end that no other block has a byte of."""
        begin = -(-self.address // self.page) * self.page
        return begin, max(begin, (self.address + self.size) // self.page * self.page)

    @property
    def stuck(self) -> int:
        """Its bytes, were it free, that could not be given back to the card."""
        if self.page:
            begin, end = self.whole_pages
            return self.size - (end - begin)
        return self.size if self.split else 0

    def cut(self, size: int) -> Block:
        """Its last bytes as a block of their own; `size` of them stay."""
        rest = Block(self.address + size, self.size - size, self.pool, self.page, self.mapped)
        rest.before, rest.after = self, self.after
        if self.after is not None:
            self.after.before = rest
        self.after, self.size = rest, size
        return rest

    def take_after(self) -> None:
        """The block after it becomes a part of it."""
        gone = self.after
        assert gone is not None
        self.size += gone.size
        self.after = gone.after
        if gone.after is not None:
            gone.after.before = self


class Pool:
    """The free blocks of one class of requests, by size and address; and unmapped address space.

    Invariant: no two of its mapped blocks are neighbours, nor two of its unmapped ones.
    """

    __slots__ = ("_blocks", "_spaces", "small", "turns")

    def __init__(self, small: bool) -> None:
        self.small = small
        self.turns = 0
        self._blocks: list[tuple[int, int, Block]] = []
        self._spaces: list[tuple[int, Block]] = []

    def __iter__(self) -> Iterator[Block]:
        return iter([block for _, _, block in self._blocks])

    @property
    def spaces(self) -> list[Block]:
        """Unmapped blocks by address."""
        return [block for _, block in self._spaces]

    def best(self, size: int) -> Block | None:
        """The smallest free block of at least `size` bytes, of equal ones the lowest."""
        at = bisect_left(self._blocks, (size,))
        return self._blocks[at][2] if at < len(self._blocks) else None

    def fitting(self, size: int) -> Iterator[Block]:
        """All that are large enough, the best first."""
        for at in range(bisect_left(self._blocks, (size,)), len(self._blocks)):
            yield self._blocks[at][2]

    def below(self, size: int) -> Iterator[Block]:
        """Free blocks of fewer bytes, the largest first."""
        for at in range(bisect_left(self._blocks, (size,)) - 1, -1, -1):
            yield self._blocks[at][2]

    def add(self, block: Block) -> None:
        """It is free from here on."""
        if not block.mapped:
            insort(self._spaces, (block.address, block))
            return
        block.free, block.age = True, self.turns
        insort(self._blocks, (block.size, block.address, block))

    def remove(self, block: Block) -> None:
        """Somebody takes it. It must be as it was added."""
        if not block.mapped:
            del self._spaces[bisect_left(self._spaces, (block.address,))]
            return
        del self._blocks[bisect_left(self._blocks, (block.size, block.address))]

    def merged(self, block: Block) -> Block:
        """`block`, which is in no pool, with those of its neighbours that are as it is, not added yet."""
        before, after = block.before, block.after
        if before is not None and before.free and before.mapped == block.mapped:
            self.remove(before)
            before.take_after()
            block = before
        if after is not None and after.free and after.mapped == block.mapped:
            self.remove(after)
            block.take_after()
        return block
