"""The journal: one JSON line for each piece of work whose results are safely on disk.

A line is written after its results are, so after a crash at any moment the journal tells the truth: what
it names is whole, what it does not name is done again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

from ullage.errors import FormatError


class Journal:
    """Appends entries. Invariant: every entry returned by `entries` was synced to disk whole."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.entries: list[Mapping[str, object]] = []
        if path.exists():
            self._recover()
        self._file = path.open("ab")

    def _recover(self) -> None:
        """Reads what is there, and cuts off a last line that a crash left incomplete."""
        data = self.path.read_bytes()
        whole = data.rfind(b"\n") + 1
        for number, line in enumerate(data[:whole].splitlines(), 1):
            self.entries.append(_entry(line, self.path, number))
        if whole < len(data):
            os.truncate(self.path, whole)

    def append(self, entry: Mapping[str, object]) -> None:
        """Adds an entry and waits until it is on disk."""
        line = json.dumps(entry, sort_keys=True, ensure_ascii=False).encode() + b"\n"
        self._file.write(line)
        self._file.flush()
        os.fsync(self._file.fileno())
        self.entries.append(entry)

    def close(self) -> None:
        self._file.close()


def read_journal(path: Path) -> list[Mapping[str, object]]:
    """The whole entries of a journal that another process may be writing. Raises FormatError."""
    if not path.exists():
        return []
    lines = path.read_bytes().split(b"\n")[:-1]
    return [_entry(line, path, number) for number, line in enumerate(lines, 1)]


def _entry(line: bytes, path: Path, number: int) -> Mapping[str, object]:
    try:
        entry: object = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{path}:{number}: not JSON; the journal was changed") from error
    if not isinstance(entry, dict):
        raise FormatError(f"{path}:{number}: not an entry; the journal was changed")
    return entry
