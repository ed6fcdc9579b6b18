"""Which bytes are alive while code runs, statement by statement, whatever the sizes of the pass.

A layer's code is replayed once for each way it can be taken. Its tensors are multiples of a few amounts of
the pass (its rows, its scores, ...), so every moment is a sum of such multiples, and which of the moments is
the largest is found for each pass by filling in its amounts.
"""

from __future__ import annotations

from operator import add, ge, mul, sub
from typing import Final, NamedTuple, Self


class Amounts(NamedTuple):
    """What tensors of one pass are multiples of; none is negative.

    `rows` is batch x new positions, `cached` batch x positions attended to, X
    to. Where scores are made a block of keys at a time, `block` is new x keys of a block, and `blocks` that
    for all sequences; where distances have scores of their own, `block` is new x keys and `blocks` the batch.
    """

    one: int
    new: int
    rows: int
    cached: int
    scores: int
    block: int = 0
    blocks: int = 0


class Size(tuple[int, ...]):
    """Bytes, or elements, as how many times each of the `Amounts`; `+`, `-` and `*` are those of a number."""

    __slots__ = ()

    def __add__(self, other: Size) -> Self:  # type: ignore[override]
        return type(self)(map(add, self, other))

    def __sub__(self, other: Size) -> Self:
        return type(self)(map(sub, self, other))

    def __mul__(self, factor: int) -> Self:  # type: ignore[override]
        return type(self)([each * factor for each in self])

    def __floordiv__(self, divisor: int) -> Self:
        return type(self)([each // divisor for each in self])

    def share(self, part: float) -> Self:
        """The part of a tensor that covers so much of its last axis."""
        return type(self)([round(each * part) for each in self])

    def of(self, amounts: Amounts) -> int:
        """What it comes to in one pass."""
        return sum(map(mul, self, amounts))


_COUNT: Final = len(Amounts._fields)
NOTHING: Final = Size([0] * _COUNT)
ONE, NEW, ROWS, CACHED, SCORES, BLOCK, BLOCKS = (
    Size([int(at == index) for at in range(_COUNT)]) for index in range(_COUNT)
)
"""One of each of the amounts."""


class Moment(NamedTuple):
    """What is alive at one moment, and what runs then."""

    live: Size
    name: str


class Tape:
    """Replays allocations and releases; keeps the moments at which something came to life.

    Invariant: `live` is what was held less what was dropped.
    """

    __slots__ = ("_now", "live", "moments")

    def __init__(self) -> None:
        self.live = NOTHING
        self.moments: list[Moment] = []
        self._now = ""

    def at(self, moment: str) -> None:
        """What runs from here on."""
        self._now = moment

    def hold(self, size: Size) -> Size:
        """A tensor comes to life; its size."""
        self.live += size
        self.moments.append(Moment(self.live, self._now))
        return size

    def enter(self) -> None:
        """What was held so far is not of the code that runs from here on."""

    def cache(self, key: Size, value: Size) -> bool:
        """Where a cache would take copies of both; whether it does, and what it copies is gone."""
        return False

    def drop(self, *sizes: Size) -> None:
        """Tensors are gone: those that were held as the very values given, else such of their sizes."""
        for size in sizes:
            self.live -= size

    def touch(self, *sizes: Size) -> None:
        """Tensors that are gone as soon as the statement is over."""
        self.moments.append(Moment(sum(sizes, self.live), self._now))

    def largest(self) -> tuple[Moment, ...]:
        """The moments that are the largest for some amounts, in their order."""
        found: list[Moment] = []
        for moment in self.moments:
            if not any(all(map(ge, held.live, moment.live)) for held in found):
                found = [held for held in found if not all(map(ge, moment.live, held.live))]
                found.append(moment)
        return tuple(found)
