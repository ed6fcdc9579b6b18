"""Items of a stage that were done and then taken back: their lines stay in the file and no longer count."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

from ullage.fields import Fields
from ullage.records.journal import Entry

UNDONE: Final = "undone"
"""The unit, and the field, of an entry that takes items back: they are to be done again."""


def numbers_in(entry: Entry, fact: str) -> Iterator[int]:
    """All whole numbers in an array that an entry may have."""
    if fact in entry:
        array = Fields(entry, "journal.jsonl: an entry").array(fact)
        yield from (number for number in array if isinstance(number, int))


def taken_back(path: Path, name: str, entries: Callable[[], Iterable[Entry]]) -> frozenset[int]:
    """Where in the file `name` at `path` the lines begin of items that were taken back, in bytes; `entries`
    are those of its stage, in the order of writing."""
    wanted = {item for entry in entries() for item in numbers_in(entry, UNDONE)}
    if not wanted:
        return frozenset()
    held: dict[int, list[int]] = {}
    found: set[int] = set()
    for entry, begin, end in _spans(entries(), name):
        for item in numbers_in(entry, UNDONE):
            found.update(held.pop(item, ()))
        if begin != end and not wanted.isdisjoint(numbers_in(entry, "items")):
            for item, place, _ in _lines(path, entry, begin, end):
                if item in wanted:
                    held.setdefault(item, []).append(place)
    return frozenset(found)


def numbered_lines(
    path: Path, name: str, entries: Callable[[], Iterable[Entry]]
) -> Iterator[tuple[int, bytes]]:
    """Every line that counts of the file `name` at `path`, with the number of its item."""
    gone = taken_back(path, name, entries)
    for entry, begin, end in _spans(entries(), name):
        if begin != end:
            yield from ((item, line) for item, at, line in _lines(path, entry, begin, end) if at not in gone)


def _spans(entries: Iterable[Entry], name: str) -> Iterator[tuple[Entry, int, int]]:
    """Each entry with the bytes of the file that it vouches for."""
    end = 0
    for entry in entries:
        begin, end = end, Fields(entry, f"{name}: an entry of the journal").inner("bytes").whole(name)
        yield entry, begin, end


def _lines(path: Path, entry: Entry, begin: int, end: int) -> Iterator[tuple[int, int, bytes]]:
    """An entry's lines: item, place in the file, line. It has one for each item, or any number for its only
    one."""
    items = [*numbers_in(entry, "items")]
    with path.open("rb") as file:
        file.seek(begin)
        lines = file.read(end - begin).split(b"\n")[:-1]
    for number, line in enumerate(lines):
        yield items[number] if len(items) == len(lines) else items[0], begin, line
        begin += len(line) + 1
