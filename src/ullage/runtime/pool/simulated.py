"""The test double of a role's weights: memory that is only counted, and a clock that is moved by hand."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Final

from ullage.runtime.role_weights import HOST, Cancelled

PARTS: Final = 4
"""Pieces that a simulated load takes its memory in."""


def _piece(size: int, part: int) -> int:
    return size * (part + 1) // PARTS - size * part // PARTS


class Memory:
    """The bytes that are really held, by place. To take more than there are is noted in `beyond`."""

    def __init__(self, limits: Mapping[str, int]) -> None:
        self.limits, self.held, self.most = dict(limits), dict.fromkeys(limits, 0), dict.fromkeys(limits, 0)
        self.beyond: list[str] = []
        self._lock = threading.Lock()

    def take(self, sizes: Mapping[str, int]) -> None:
        with self._lock:
            for place, size in sizes.items():
                self.held[place] += size
                self.most[place] = max(self.most[place], self.held[place])
                if not 0 <= self.held[place] <= self.limits[place]:
                    self.beyond.append(f"{place}: {self.held[place]} of {self.limits[place]}")

    def give(self, sizes: Mapping[str, int]) -> None:
        self.take({place: -size for place, size in sizes.items()})


@dataclass
class SimulatedModel:
    """What a simulated load gives: new each time, with its buffers."""

    name: str
    buffers: str = "rotary"


@dataclass(eq=False)
class SimulatedWeights:
    """Weights that take memory and time, and fail when they are told to. `fails` are errors that the next
    loads raise, half done; `on_part` is called between the parts of a load."""

    name: str
    memory: Memory
    sizes: Mapping[str, int]
    passing: Mapping[str, int] = field(default_factory=dict)
    parked_bytes: int = 0
    fails: list[BaseException] = field(default_factory=list)
    park_fails: list[Exception] = field(default_factory=list)
    drop_fails: list[Exception] = field(default_factory=list)
    on_part: Callable[[], None] = lambda: None
    said: list[str] = field(default_factory=list)
    place: str = "disk"
    copied: bool = False
    busy: threading.Lock = field(default_factory=threading.Lock)

    @property
    def load_peaks(self) -> Mapping[str, int]:
        places = {**self.sizes, **self.passing}
        return {place: self.sizes.get(place, 0) + self.passing.get(place, 0) for place in places}

    def bring(self, cancelled: Callable[[], bool]) -> object:
        with self._alone():
            assert self.place != "device", f"{self.name} is there already"
            source = self.place
            held = self.load_peaks if source == "disk" else self.sizes
            taken: dict[str, int] = {}
            try:
                for part in range(PARTS):
                    self.on_part()
                    if cancelled():
                        self.said.append("cancelled")
                        raise Cancelled
                    if part == PARTS // 2 and self.fails:
                        raise self.fails.pop(0)
                    piece = {place: _piece(size, part) for place, size in held.items()}
                    self.memory.take(piece)
                    taken = {place: taken.get(place, 0) + size for place, size in piece.items()}
            except BaseException:
                self.memory.give(taken)
                raise
            if source == "disk":
                self.memory.give(self.passing)
            self.place, self.copied = "device", source == "host"
            self.said.append(f"from {source}")
            return SimulatedModel(self.name)

    def park(self) -> None:
        with self._alone():
            assert self.place == "device"
            if self.park_fails:
                raise self.park_fails.pop(0)
            if not self.copied:
                self.memory.take({HOST: self.parked_bytes})
            self.memory.give(self.sizes)
            self.place, self.copied = "host", False
            self.said.append("parked")

    def drop(self) -> None:
        with self._alone():
            if self.drop_fails:
                raise self.drop_fails.pop(0)
            if self.place == "device":
                self.memory.give(self.sizes)
            if self.place == "host" or self.copied:
                self.memory.give({HOST: self.parked_bytes})
            if self.place != "disk":
                self.said.append("dropped")
            self.place, self.copied = "disk", False

    def _alone(self) -> _Alone:
        return _Alone(self.busy)


@dataclass
class _Alone:
    """Calls are made by one thread at a time."""

    busy: threading.Lock

    def __enter__(self) -> None:
        assert self.busy.acquire(blocking=False), "two calls at once"

    def __exit__(self, *error: object) -> None:
        self.busy.release()


class Hand:
    """A clock whose time passes when a test says so, and whose jobs are done when it says so."""

    def __init__(self) -> None:
        self.time = 0.0
        self.jobs: list[Callable[[], None]] = []
        self.alarm: tuple[float, Callable[[], None]] | None = None

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds

    def wake(self, when: float, call: Callable[[], None]) -> None:
        self.alarm = (when, call)

    def start(self, work: Callable[[], None]) -> None:
        self.jobs.append(work)

    def wait(self, future: Future[None], seconds: float | None = None) -> None:
        future.result(seconds)

    def close(self) -> None:
        self.jobs.clear()

    def settle(self) -> None:
        """Every job that was begun, and those they begin, are done."""
        while self.jobs:
            self.jobs.pop(0)()

    def advance(self, seconds: float) -> None:
        """Time passes; whoever was to be woken meanwhile is."""
        end = self.time + seconds
        while self.alarm is not None and self.alarm[0] <= end:
            when, call = self.alarm
            self.alarm, self.time = None, max(self.time, when)
            call()
        self.time = end
