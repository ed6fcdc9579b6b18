"""Single tensors of a pass, in the order in which they come and go: what an allocator is asked for."""

from __future__ import annotations

from itertools import combinations, count
from operator import le
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
    """A tape that knows which of its tensors each release is of.

    `kept` are the numbers of those that a cache keeps, where the pass `caches`. What is released and not
    there was of something else.
    """

    __slots__ = ("_held", "_numbers", "caches", "kept", "steps")

    def __init__(self, caches: bool) -> None:
        super().__init__()
        self.caches = caches
        self.steps: list[Step] = []
        self.kept: list[int] = []
        self._numbers = count()
        self._held: dict[int, Size] = {}

    def hold(self, size: Size) -> Size:
        super().hold(size)
        self._come(size)
        return size

    def enter(self) -> None:
        self.steps = []
        self._held = {}

    def cache(self, key: Size, value: Size) -> bool:
        """Copies that stay are made of both."""
        if self.caches:
            for size in (key, value):
                number = self._come(size)
                if number is not None:
                    self.kept.append(number)
                    del self._held[number]
            self.drop(key, value)
        return self.caches

    def drop(self, *sizes: Size) -> None:
        super().drop(*sizes)
        for size in sizes:
            for number in self._those_of(size):
                self._go(number)

    def touch(self, *sizes: Size) -> None:
        super().touch(*sizes)
        for number in [self._come(size) for size in sizes]:
            if number is not None:
                self._go(number)

    def _come(self, size: Size) -> int | None:
        if size == NOTHING:
            return None
        number = next(self._numbers)
        self.steps.append(Step(number, size, True))
        self._held[number] = size
        return number

    def _go(self, number: int) -> None:
        self.steps.append(Step(number, self._held.pop(number), False))

    def _those_of(self, size: Size) -> list[int]:
        """The tensor that was held as this very value; else the newest that add up to it; else of the newest
        those that are no larger, one by one. What was just made comes last of all."""
        if size == NOTHING or not self._held:
            return []
        last, *others = reversed(self._held.items())
        held = [*others, last]
        for number, each in held:
            if each is size:
                return [number]
        for many in range(1, LARGEST_SUM + 1):
            for some in combinations(held, many):
                if sum((each for _, each in some), NOTHING) == size:
                    return [number for number, _ in some]
        found = []
        for number, each in held:
            if all(map(le, each, size)):
                found.append(number)
                size = size - each
        return found
