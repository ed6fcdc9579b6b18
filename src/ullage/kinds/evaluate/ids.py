"""Which ids there have been: a million of them take 16 MB."""

from __future__ import annotations

from array import array
from hashlib import blake2b

EMPTY = 0


class Ids:
    """Remembers ids by 64 bits of their hash, in a table with open addressing.

    Invariant: the table has twice as many places as ids, or more, and their number is a power of two.
    """

    def __init__(self) -> None:
        self._count = 0
        self._table = array("Q", bytes(8 * 1024))

    def add(self, identity: str) -> bool:
        """Whether `identity` is new; of a million different ones, two are taken for the same once in 40
        million times."""
        data = identity.encode("utf-8", "surrogatepass")
        new = self._put(int.from_bytes(blake2b(data, digest_size=8).digest()) or 1)
        self._count += new
        if 2 * self._count > len(self._table):
            before, self._table = self._table, array("Q", bytes(16 * len(self._table)))
            for held in before:
                if held != EMPTY:
                    self._put(held)
        return new

    def _put(self, hashed: int) -> bool:
        """Whether that was not there."""
        last = len(self._table) - 1
        place = hashed & last
        while (held := self._table[place]) != EMPTY:
            if held == hashed:
                return False
            place = (place + 1) & last
        self._table[place] = hashed
        return True
