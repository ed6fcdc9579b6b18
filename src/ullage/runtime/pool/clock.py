"""Time and threads, as the pool asks for them: real ones, or a test's."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol


class Clock(Protocol):
    """What passes the time for a pool. A test has one that it moves by hand."""

    def now(self) -> float:
        """Seconds since some moment."""
        ...

    def sleep(self, seconds: float) -> None:
        """Waits, in the thread that calls."""
        ...

    def wake(self, when: float, call: Callable[[], None]) -> None:
        """Calls once when it is `when`; a later word replaces an earlier one."""
        ...

    def start(self, work: Callable[[], None]) -> None:
        """Has `work` done elsewhere, soon."""
        ...

    def wait(self, future: Future[None], seconds: float | None = None) -> None:
        """Waits for a future that ends by what was started, and raises what it ended with; TimeoutError where
        it has not after so many seconds."""
        ...

    def close(self) -> None:
        """Nothing more will be asked."""
        ...


class Threads:
    """The real time: one thread that wakes the pool, and one for each of `movers` roles that move at once."""

    def __init__(self, movers: int) -> None:
        self._movers = ThreadPoolExecutor(max(1, movers), thread_name_prefix="ullage-pool")
        self._changed = threading.Condition()
        self._alarm: tuple[float, Callable[[], None]] | None = None
        self._waker: threading.Thread | None = None
        self._closed = False

    def now(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    def wake(self, when: float, call: Callable[[], None]) -> None:
        with self._changed:
            self._alarm = (when, call)
            if self._waker is None:
                self._waker = threading.Thread(target=self._watch, name="ullage-pool-waker", daemon=True)
                self._waker.start()
            self._changed.notify()

    def start(self, work: Callable[[], None]) -> None:
        self._movers.submit(work)

    def wait(self, future: Future[None], seconds: float | None = None) -> None:
        future.result(seconds)

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._movers.shutdown(wait=False)

    def _watch(self) -> None:
        while True:
            with self._changed:
                while not self._closed and (self._alarm is None or self._alarm[0] > self.now()):
                    self._changed.wait(None if self._alarm is None else max(0.0, self._alarm[0] - self.now()))
                if self._closed:
                    return
                assert self._alarm is not None
                call = self._alarm[1]
                self._alarm = None
            call()


class OneThread:
    """The real time, for a run, which is one thread: what is to be done is done while it waits."""

    def __init__(self) -> None:
        self._work: deque[Callable[[], None]] = deque()
        self._alarm: tuple[float, Callable[[], None]] | None = None

    def now(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    def wake(self, when: float, call: Callable[[], None]) -> None:
        self._alarm = (when, call)

    def start(self, work: Callable[[], None]) -> None:
        self._work.append(work)

    def wait(self, future: Future[None], seconds: float | None = None) -> None:
        until = None if seconds is None else self.now() + seconds
        while not future.done():
            if self._work:
                self._work.popleft()()
                continue
            times = [when for when in (until, self._alarm[0] if self._alarm else None) if when is not None]
            if not times or (until is not None and self.now() >= until):
                raise TimeoutError
            self.sleep(max(0.0, min(times) - self.now()))
            if self._alarm is not None and self.now() >= self._alarm[0]:
                call = self._alarm[1]
                self._alarm = None
                call()
        future.result()

    def close(self) -> None:
        self._alarm = None
