"""Which ids a file has had, in a file of its own: a million of them take no memory."""

from __future__ import annotations

import sqlite3
from hashlib import blake2b
from pathlib import Path


class SeenIds:
    """Remembers ids by 63 bits of their hash, with the line each was first on.

    Invariant: reading a line again after an interruption finds its own id, which is no repetition.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> SeenIds:
        self._base = sqlite3.connect(self._path, isolation_level=None)
        self._path.chmod(0o600)
        self._base.execute("CREATE TABLE IF NOT EXISTS seen (hash INTEGER PRIMARY KEY, line INTEGER)")
        self._base.execute("BEGIN")
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._base.execute("COMMIT")
        finally:
            self._base.close()

    def add(self, identity: str | int, line: int) -> bool:
        """Whether `identity` is new, or was on this very line; 1 and "1" are two."""
        named = f"{type(identity).__name__} {identity}"
        digest = int.from_bytes(blake2b(named.encode(), digest_size=8).digest()) >> 1
        self._base.execute("INSERT OR IGNORE INTO seen VALUES (?, ?)", (digest, line))
        (first,) = self._base.execute("SELECT line FROM seen WHERE hash = ?", (digest,)).fetchone()
        return bool(first == line)

    def keep(self) -> None:
        """What has been added is still there should the process be killed."""
        self._base.execute("COMMIT")
        self._base.execute("BEGIN")
