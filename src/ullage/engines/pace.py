"""How fast a server is asked: so many requests a minute, and the longer between tries the more there were."""

from __future__ import annotations

import threading
import time
from typing import Final

FIRST_PAUSE: Final = 0.5
LONGEST_PAUSE: Final = 8.0
"""Seconds before a second try, and at most, as openai's own client has them."""


def pause(tries: int) -> None:
    """Waits before a request whose `tries` came to nothing under a status that says nothing did: the client
    waits for those that a status tells of."""
    time.sleep(min(FIRST_PAUSE * 2**tries, LONGEST_PAUSE))


class Pace:
    """Lets through at most so many calls a minute, evenly spaced, from any thread."""

    def __init__(self, per_minute: int | None) -> None:
        self._gap = 60 / per_minute if per_minute else 0.0
        self._lock = threading.Lock()
        self._next = 0.0

    def wait(self) -> None:
        if not self._gap:
            return
        with self._lock:
            now = time.monotonic()
            begin = max(now, self._next)
            self._next = begin + self._gap
        time.sleep(max(begin - now, 0.0))
