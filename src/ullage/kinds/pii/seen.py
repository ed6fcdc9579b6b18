"""Which ids a file has had, in a file of its own: a million of them take no memory."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from pathlib import Path

from ullage.records.lines import LineStore


def ids_of(store: LineStore) -> Iterator[tuple[str | int, int]]:
    """The ids of records that are verified already, and their lines."""
    for row in store.rows():
        match row:
            case {"id": str() | int() as identity, "line": int() as line}:
                yield identity, line


class SeenIds:
    """Remembers ids by 63 bits of their hash, with the line each was first on.

    Invariant: when it is entered it knows `before`, each id with its line, and nothing that an earlier run
    left in `path`. The file is gone afterwards.
    """

    def __init__(self, path: Path, before: Iterable[tuple[str | int, int]] = ()) -> None:
        self._path, self._before = path, before

    def __enter__(self) -> SeenIds:
        self._path.unlink(missing_ok=True)
        self._base = sqlite3.connect(self._path, isolation_level=None)
        self._path.chmod(0o600)
        self._base.execute("PRAGMA journal_mode = OFF")  # nobody takes it up after a crash
        self._base.execute("CREATE TABLE seen (hash INTEGER PRIMARY KEY, line INTEGER)")
        self._base.execute("BEGIN")
        for identity, line in self._before:
            self.add(identity, line)
        return self

    def __exit__(self, *_: object) -> None:
        self._base.close()
        self._path.unlink(missing_ok=True)

    def add(self, identity: str | int, line: int) -> bool:
        """Whether `identity` is new, or was on this very line; 1 and "1" are two."""
        named = f"{type(identity).__name__} {identity}"
        digest = int.from_bytes(blake2b(named.encode(), digest_size=8).digest()) >> 1
        self._base.execute("INSERT OR IGNORE INTO seen VALUES (?, ?)", (digest, line))
        (first,) = self._base.execute("SELECT line FROM seen WHERE hash = ?", (digest,)).fetchone()
        return bool(first == line)
