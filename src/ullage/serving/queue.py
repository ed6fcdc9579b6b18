"""How many may wait, and how long they did."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from ullage.serving.refusal import Refusal

if TYPE_CHECKING:
    from ullage.serving.metrics import Metrics

LONGEST: Final = 60
"""Seconds after which anybody may come again."""
WEIGHT: Final = 0.1
"""Of the newest answer, in how often one is given."""


class Place:
    """One request's place: it waits until it has `begun`; `heard`: its first token was sent."""

    def __init__(self, queue: Queue, role: str) -> None:
        self._queue, self.role, self.asked = queue, role, time.monotonic()
        self.waits, self.heard = True, False

    def begun(self) -> None:
        """Its answer is being made; a second time does nothing."""
        if self.waits:
            self.waits = False
            self._queue.waiting -= 1
            self._queue.answering += 1
            self._queue.metrics.waited(self.role, time.monotonic() - self.asked)


class Queue:
    """Requests that were let in. Invariant: no more than `most` wait; whoever is answered does not."""

    def __init__(self, most: int, metrics: Metrics) -> None:
        self.most, self.metrics = most, metrics
        self.waiting = self.answering = 0
        self._apart: float | None = None
        """Seconds from one answer to the next, lately."""
        self._last = 0.0

    @contextmanager
    def place(self, role: str) -> Iterator[Place]:
        """A place for as long as a request lasts. Raises Refusal where none is left."""
        if self.waiting >= self.most:
            again = self.again()
            said = f"{self.waiting:,} requests wait already; come again in {again} s"
            raise Refusal(429, said, "queue_full", again=again)
        self.waiting += 1
        place = Place(self, role)
        try:
            yield place
            self._answered()
        finally:
            if place.waits:
                place.waits = False
                self.waiting -= 1
            else:
                self.answering -= 1

    def again(self) -> int:
        """Seconds in which half of those who wait will have been answered, by how it went lately."""
        return min(LONGEST, max(1, math.ceil((self._apart or 0.0) * self.waiting / 2)))

    def _answered(self) -> None:
        now = time.monotonic()
        if self._last:
            apart = now - self._last
            self._apart = apart if self._apart is None else (1 - WEIGHT) * self._apart + WEIGHT * apart
        self._last = now
