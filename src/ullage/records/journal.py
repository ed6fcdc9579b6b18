"""The journal: one JSON line for each piece of work whose results are safely on disk.

A line is written after its results are, so after a crash at any moment the journal tells the truth: what
it names is whole, what it does not name is done again.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from ullage.errors import FormatError


class Journal:
    """Appends entries. Invariant: every entry returned by `entries` was synced to disk whole."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.entries: list[dict[str, Any]] = []
        if path.exists():
            self._recover()
        self._file = path.open("ab")

    def _recover(self) -> None:
        """Reads what is there, and cuts off a last line that a crash left incomplete."""
        data = self._path.read_bytes()
        whole = data.rfind(b"\n") + 1
        for number, line in enumerate(data[:whole].splitlines(), 1):
            try:
                entry = json.loads(line)
            except ValueError as error:
                raise FormatError(f"{self._path}:{number}: not JSON; the journal was changed") from error
            if not isinstance(entry, dict):
                raise FormatError(f"{self._path}:{number}: not an entry; the journal was changed")
            self.entries.append(entry)
        if whole < len(data):
            os.truncate(self._path, whole)

    def append(self, entry: dict[str, Any]) -> None:
        """Adds an entry and waits until it is on disk."""
        line = json.dumps(entry, sort_keys=True, ensure_ascii=False).encode() + b"\n"
        self._file.write(line)
        self._file.flush()
        os.fsync(self._file.fileno())
        self.entries.append(entry)

    def close(self) -> None:
        self._file.close()


def read_journal(path: Path) -> list[dict[str, Any]]:
    """The whole entries of a journal that another process may be writing."""
    if not path.exists():
        return []
    lines = path.read_bytes().split(b"\n")[:-1]
    try:
        return [json.loads(line) for line in lines]
    except ValueError as error:
        raise FormatError(f"{path}: not JSON lines; the journal was changed") from error
