"""Code of a stranger's, as a chat template is, that may run only so long and take only so much."""

from __future__ import annotations

import ctypes
import resource
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

LOOKS_SECONDS: Final = 0.2


class TooLongError(BaseException):
    """What ran inside `bounded` took more seconds than it may. `except Exception` does not stop it."""


@dataclass(slots=True)
class _Watched:
    """A thread, the clock of its own processor time, and the time on it that must not be reached."""

    thread: int
    clock: int
    until: float
    told: bool = False


class _Watch:
    """Ends what has run too long. Invariant: nothing is raised in a thread that has left `bounded`."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._waking = threading.Event()
        self._watched: _Watched | None = None
        self._thread: threading.Thread | None = None

    def begin(self, seconds: float) -> None:
        me = threading.get_ident()
        clock = time.pthread_getcpuclockid(me)
        with self._mutex:
            self._watched = _Watched(me, clock, time.clock_gettime(clock) + seconds)
            if self._thread is None or not self._thread.is_alive():  # a fork has none of its parent's threads
                self._thread = threading.Thread(target=self._look, name="template watch", daemon=True)
                self._thread.start()
        self._waking.set()

    def end(self) -> None:
        with self._mutex:
            watched, self._watched = self._watched, None
        if watched is None or not watched.told:
            return
        # What was raised may not have arrived. Taken back, it would leave CPython 3.11 looking for it ever
        # after, and in an endless loop under a tracer; so it is raised again and caught.
        with suppress(TooLongError):
            _raise_in(watched.thread)
            while True:
                time.sleep(0)

    def _look(self) -> None:
        while self._waking.wait():
            time.sleep(LOOKS_SECONDS)
            with self._mutex:
                watched = self._watched
                if watched is None:
                    self._waking.clear()
                elif time.clock_gettime(watched.clock) > watched.until:
                    watched.told = True
                    _raise_in(watched.thread)


def _raise_in(thread: int) -> None:
    """Has a thread raise TooLongError at its next step."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(TooLongError))


_watch: Final = _Watch()
_one: Final = threading.RLock()
_sharing = 0


@contextmanager
def shared() -> Iterator[None]:
    """Inside, this process does other work beside what is `bounded`, in other threads: memory is not limited
    then, for a limit would be theirs too, and fail the load of a model."""
    global _sharing
    _sharing += 1
    try:
        yield
    finally:
        _sharing -= 1


@contextmanager
def bounded(seconds: float, room: int) -> Iterator[None]:
    """Inside, this thread may compute so long, and the process grow by about `room` bytes.

    One thread at a time; memory has no limit while the process is `shared`. Raises TooLongError, or
    MemoryError where an allocation goes beyond.
    """
    with _one:
        limits = None if _sharing else _hold_to(room)
        try:
            try:
                _watch.begin(seconds)
                yield
            finally:
                _watch.end()
        finally:
            if limits is not None:
                resource.setrlimit(resource.RLIMIT_AS, limits)


def _hold_to(room: int) -> tuple[int, int] | None:
    """Lets the process map so many bytes more than it has; the limits there were, None if none can be set."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        limits = soft, hard = resource.getrlimit(resource.RLIMIT_AS)
        most = pages * resource.getpagesize() + room
        if soft != resource.RLIM_INFINITY:
            most = min(most, soft)
        resource.setrlimit(resource.RLIMIT_AS, (most, hard))
    except (OSError, ValueError):
        return None
    return limits
