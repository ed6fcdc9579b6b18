"""Single tensors of a pass, in the order in which they come and go: what an allocator is asked for."""

from __future__ import annotations

from itertools import combinations
from typing import Final, NamedTuple

from ullage.memory.forward.tape import NOTHING, Size, Tape

LARGEST_SUM: Final = 4
"""Tensors that one release may be made of; a larger sum is taken from the newest on."""


class Step(NamedTuple):
    """Tensor `number` of `size` comes, or goes where `comes` is not so."""

    number: int
    size: Size
    comes: bool


class Tensors(Tape):
    """A tape that knows which of its tensors each release is of: the newest ones that add up to it.

    `kept` are the numbers of those that a cache keeps, where the pass `caches`. What is released and not
    there was of something else.
    """

    __slots__ = ("_held", "caches", "kept", "steps")

    def __init__(self, caches: bool) -> None:
        super().__init__()
        self.caches = caches
        self.steps: list[Step] = []
        self.kept: list[int] = []
        self._held: dict[int, Size] = {}

    def hold(self, size: Size) -> Size:
        super().hold(size)
        self._come(size)
        return size

    def drop(self, size: Size) -> None:
        super().drop(size)
        for number in self._those_of(size):
            self._go(number)

    def touch(self, size: Size) -> None:
        super().touch(size)
        number = self._come(size)
        if number is not None:
            self._go(number)

    def cache(self, key: Size, value: Size) -> None:
        """A cache takes copies of both, which stay; what it copies is gone."""
        if not self.caches:
            return
        for size in (key, value):
            number = self._come(size)
            if number is not None:
                self.kept.append(number)
                del self._held[number]
        for size in (key, value):
            copied = next((at for at, held in reversed(self._held.items()) if held == size), None)
            if copied is not None:
                self._go(copied)

    def _come(self, size: Size) -> int | None:
        if size == NOTHING:
            return None
        number = len(self.steps)
        self.steps.append(Step(number, size, True))
        self._held[number] = size
        return number

    def _go(self, number: int) -> None:
        self.steps.append(Step(number, self._held.pop(number), False))

    def _those_of(self, size: Size) -> list[int]:
        """The newest tensors that add up to `size`; without such, the newest that are no larger, one by one."""
        if size == NOTHING:
            return []
        last, *newest = reversed(self._held.items())
        newest.append(last)  # nobody releases what was just made
        for count in range(1, LARGEST_SUM + 1):
            for some in combinations(newest, count):
                total = some[0][1]
                for _, each in some[1:]:
                    total = total + each
                if total == size:
                    return [number for number, _ in some]
        found = []
        for number, each in newest:
            if all(one <= other for one, other in zip(each, size, strict=True)):
                found.append(number)
                size = size - each
        return found
