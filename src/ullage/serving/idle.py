"""Connections on which nothing is asked: each holds a file descriptor, of which there are few."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol


class Cycle(Protocol):
    """One request and its answer, as uvicorn's protocols have it."""

    response_complete: bool


class Transport(Protocol):
    def close(self) -> None:
        """Once what was written has been sent."""


class Connection(Protocol):
    """One of uvicorn's; `cycle` is None until a request's head is whole."""

    cycle: Cycle | None
    transport: Transport


class Idle:
    """Invariant: a connection is closed once nothing was asked on it for so many `seconds`: no request, half
    a head, or what is left of a body that was refused. One that is answered is left alone."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._since: dict[Connection, tuple[Cycle | None, float]] = {}

    def close(self, connections: Collection[Connection], now: float) -> None:
        """Closes those that were idle for long; to be called again and again."""
        since = {}
        for each in connections:
            if each.cycle is not None and not each.cycle.response_complete:
                continue
            cycle, begun = self._since.get(each, (each.cycle, now))
            since[each] = (cycle, begun) if cycle is each.cycle else (each.cycle, now)
            if now - since[each][1] > self._seconds:
                each.transport.close()
        self._since = since
