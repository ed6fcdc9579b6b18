"""Which positions of which sequences a forward pass reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Part:
    """Columns [column, column + end - begin) of a batch's `row` are positions [begin, end) of `sequence`."""

    row: int
    column: int
    sequence: int
    begin: int
    end: int


@dataclass(frozen=True, slots=True)
class Coverage:
    """One forward pass over `rows` rows of token ids. What no part names is padding, or has ended.

    A row belongs to several sequences where they share what it reads.
    """

    rows: int
    parts: tuple[Part, ...]


def right_padded(lengths: Sequence[int], begin: int, end: int) -> Coverage:
    """Columns [begin, end) of a batch in which sequence i is row i and begins in column 0."""
    parts = tuple(
        Part(index, 0, index, begin, min(end, length))
        for index, length in enumerate(lengths)
        if begin < length
    )
    return Coverage(len(lengths), parts)


def left_padded(lengths: Sequence[int], begin: int, end: int, before: int = 0) -> Coverage:
    """Columns [begin, end) of a batch in which sequence i is row i and ends in the last column; so many of
    its positions were read `before`, and are in no column."""
    longest = max(lengths)
    parts = []
    for index, length in enumerate(lengths):
        first = longest - length
        if first < end:
            at = before - first
            place = Part(index, max(first - begin, 0), index, max(at + begin, before), at + end)
            parts.append(place)
    return Coverage(len(lengths), tuple(parts))
