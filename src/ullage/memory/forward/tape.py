"""Which bytes are alive while code runs, statement by statement."""

from __future__ import annotations


class Tape:
    """Replays allocations and releases; remembers the largest sum and what ran then.

    Invariant: `live` is what was held less what was dropped; `peak` the largest `live` so far.
    """

    __slots__ = ("_now", "live", "moment", "peak")

    def __init__(self) -> None:
        self.live = self.peak = 0
        self.moment = self._now = ""

    def at(self, moment: str) -> None:
        """What runs from here on."""
        self._now = moment

    def hold(self, size: int) -> int:
        """A tensor of `size` bytes comes to life; its size."""
        self.live += size
        if self.live > self.peak:
            self.peak, self.moment = self.live, self._now
        return size

    def drop(self, size: int) -> None:
        """A tensor of `size` bytes is gone."""
        self.live -= size

    def touch(self, size: int) -> None:
        """A tensor that is gone as soon as the statement is over."""
        if self.live + size > self.peak:
            self.peak, self.moment = self.live + size, self._now
