"""What is wrong with a workload file, and where."""

from __future__ import annotations

from typing import Final, NamedTuple

from ullage.errors import SpecError

LONGEST_LIST: Final = 50
"""Mistakes told at once; the rest is counted."""

Path = tuple[str | int, ...]
"""Keys and list entries from the top of the file to a field."""


class Mistake(NamedTuple):
    """What is wrong with the field at `path`; `at_key` when it is the key that is to be changed."""

    path: Path
    problem: str
    at_key: bool = False


class Place(NamedTuple):
    """Where a field stands, counted from 1; `key_*` where its key does."""

    line: int
    column: int
    key_line: int
    key_column: int


def shorten(text: str, length: int) -> str:
    """`text`, cut where it is longer than a line of a message should be."""
    return text if len(text) <= length else text[: length - 3] + "..."


def listed(filename: str, lines: list[str]) -> SpecError:
    """`lines` as one error, the first of them where they are many."""
    told = lines[:LONGEST_LIST]
    if len(lines) > len(told):
        told.append(f"{filename}: and {len(lines) - len(told)} more mistakes")
    return SpecError(told)
