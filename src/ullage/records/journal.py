"""The journal: one JSON line for each piece of work whose results are safely on disk.

A line is written after its results are, so after a crash at any moment the journal tells the truth: what
it names is whole, what it does not name is done again. Each line ends with its number and the SHA-256 of
itself and of all lines before it: a line that was changed, doubled, moved or lost is found. Entries are
read from the file whenever they are asked for, so a journal of any length takes no memory.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

from ullage.errors import FormatError
from ullage.files import check_ordinary
from ullage.records.atomic import write_with
from ullage.records.damage import Damage

SEAL: Final = "seal"
"""The field of a line with its number and the SHA-256 of everything up to it."""
RESUMED: Final = "resumed"
"""The field of a line that says with what other than before a run was taken up."""
Entry = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Entries:
    """The first `count` entries of the journal at `path`, which are known to be whole."""

    path: Path
    count: int

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[Entry]:
        if not self.count:
            return
        with self.path.open("rb") as file:
            for line in islice(file, self.count):
                read = _read(line)
                if isinstance(read, str):
                    raise FormatError(f"{self.path}: {read}; the journal was changed while it was read")
                yield read.entry


class Journal:
    """Appends entries. Invariant: every entry of `entries` was synced to disk whole."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._count, self._chain = 0, ""
        if path.exists():
            self._recover()
        self._file = path.open("ab")

    def _recover(self) -> None:
        """Reads what is there, and cuts off a last line that a crash left incomplete."""
        found = _whole(self.path)
        self._count, self._chain = len(found.entries), found.chain
        if found.length < self.path.stat().st_size:
            os.truncate(self.path, found.length)

    def append(self, entry: Entry) -> None:
        """Adds an entry and waits until it is on disk."""
        line, self._chain = _sealed(entry, self._count + 1, self._chain)
        self._file.write(line)
        self._file.flush()
        os.fsync(self._file.fileno())
        self._count += 1

    @property
    def entries(self) -> Entries:
        """What has been appended so far, now or before."""
        return Entries(self.path, self._count)

    @property
    def work(self) -> Iterator[Entry]:
        """The entries that name work, without those that say how the run was taken up."""
        return (entry for entry in self.entries if RESUMED not in entry)

    def close(self) -> None:
        self._file.close()


@dataclass(frozen=True, slots=True)
class Scanned:
    """The entries of a journal up to its first damage, None where it is whole, and the last one's SHA-256.

    `length` is the bytes of its lines, but for a last one without an end.
    """

    entries: Entries
    damage: Damage | None
    chain: str
    length: int


def scan(path: Path) -> Scanned:
    """What a journal holds, nothing where there is none; a last line without an end is not counted, it is
    still being written."""
    check_ordinary(path)
    count, length, chain, damage = 0, 0, "", None
    with path.open("rb") if path.exists() else io.BytesIO() as file:
        for number, line in enumerate(file, 1):
            if not line.endswith(b"\n"):
                break
            length += len(line)
            if damage is None:
                after, what = _followed(line, number, chain)
                if what:
                    damage = Damage(f"{path}:{number}", f"{what}; the journal was changed", count)
                else:
                    count, chain = number, after
    return Scanned(Entries(path, count), damage, chain, length)


def _followed(line: bytes, number: int, chain: str) -> tuple[str, str]:
    """The SHA-256 of everything up to a line; or why it is not entry `number` after `chain`."""
    read = _read(line)
    if isinstance(read, str):
        return "", read
    after = _continued(read.entry, number, chain, line.removesuffix(b"\n"))
    return after, "" if after else _wrong(read.number, number)


def recovered(data: bytes) -> tuple[list[Entry], int]:
    """The entries of a damaged journal that follow one another from the first on, and how many lines are
    none of them: doubled ones, strange ones, and whatever follows one that is lost."""
    by_number: dict[int, list[tuple[bytes, Entry]]] = {}
    lines = data.split(b"\n")[:-1]
    for line in lines:
        read = _read(line)
        if not isinstance(read, str):
            by_number.setdefault(read.number, []).append((line, read.entry))
    entries: list[Entry] = []
    chain = ""
    while True:
        for line, entry in by_number.get(len(entries) + 1, ()):
            after = _continued(entry, len(entries) + 1, chain, line)
            if after:
                entries.append(entry)
                chain = after
                break
        else:
            return entries, len(lines) - len(entries)


def write_journal(path: Path, entries: Sequence[Entry]) -> None:
    """A journal of these entries in place of what is there, whole or not at all."""

    def write(temporary: Path) -> None:
        chain = ""
        with temporary.open("wb") as file:
            for number, entry in enumerate(entries, 1):
                line, chain = _sealed(entry, number, chain)
                file.write(line)

    write_with(path, write)


def read_journal(path: Path) -> Entries:
    """The whole entries of a journal that another process may be writing. Raises FormatError."""
    return _whole(path).entries


def _whole(path: Path) -> Scanned:
    found = scan(path)
    if found.damage is not None:
        raise FormatError(str(found.damage))
    return found


@dataclass(frozen=True, slots=True)
class _Line:
    entry: Entry
    number: int


def _read(line: bytes) -> _Line | str:
    """The entry of a line and the number it says it has, or why it is none."""
    try:
        entry: object = json.loads(line)
    except (ValueError, RecursionError):
        return "not JSON"
    if not isinstance(entry, dict):
        return "not an entry"
    match entry.pop(SEAL, None):
        case [int() as number, str()]:
            return _Line(entry, number)
    return "not sealed"


def _wrong(says: int, is_at: int) -> str:
    if says == is_at:
        return "not what was written (its SHA-256 differs)"
    return f"is line {says}, where line {is_at} should be: lines were doubled, moved or lost"


def _sealed(entry: Entry, number: int, chain: str) -> tuple[bytes, str]:
    """The line of an entry, and the SHA-256 of everything up to it."""
    body = json.dumps(entry, ensure_ascii=False)
    chain = hashlib.sha256(f"{chain}{number}{body}".encode("utf-8", "surrogatepass")).hexdigest()
    line = json.dumps({**entry, SEAL: [number, chain]}, ensure_ascii=False)
    return line.encode("utf-8", "surrogatepass") + b"\n", chain


def _continued(entry: Entry, number: int, chain: str, line: bytes) -> str:
    """The SHA-256 of everything up to `line`; "" unless it is entry `number` after `chain`."""
    try:
        sealed, after = _sealed(entry, number, chain)
    except RecursionError:
        return ""
    return after if sealed == line + b"\n" else ""
