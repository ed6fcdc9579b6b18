"""Processes that plan, so that whoever listens is never held up: warm, limited in time and memory, and begun
again when one of them ends."""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from typing import Final

from ullage.errors import UllageError
from ullage.ui.answers import Answered, Asked, answer
from ullage.ui.source import Source
from ullage.ui.state import State

SECONDS: Final = 20.0
"""An answer may take; one that takes longer ends its process."""
START: Final = """
import sys
from multiprocessing.connection import Connection
from ullage.ui.worker import work
work(Connection(int(sys.argv[1])))
"""
"""A process that begins so, and not by multiprocessing, runs nothing of the program that began it."""
MEMORY: Final = 8 * 2**30
"""Bytes of addresses that a process may take: a trace needs torch, which maps about half of it."""
LOOK: Final = 0.05
"""Seconds after which it is looked again whether somebody still waits for an answer."""
MOST_WAITING: Final = 64
"""Who may wait for one process at once."""


class OverdueError(UllageError):
    """No answer within the time there is."""


class AbandonedError(BaseException):
    """In a process that plans: nobody waits for the answer any more. No planning takes it for a mistake."""


class Worker:
    """One process, and a line of those who wait for it. Invariant: whoever has the lock has an answer that is
    to its own question, for a process that gave none in time is gone."""

    def __init__(self, source: Source, seconds: float = SECONDS) -> None:
        self._source, self._seconds = source, seconds
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._end: Connection | None = None
        self._ready = False
        self._asked: Asked | None = None
        self._over = False

    def begin(self) -> None:
        """Starts the process, where there is none."""
        if self._process is not None and self._process.poll() is None:
            return
        if self._over:
            raise OverdueError("the server ends")
        self._clear()
        ours, theirs = socket.socketpair()
        with theirs:
            command = [sys.executable, "-P", "-c", START, str(theirs.fileno())]
            self._process = subprocess.Popen(command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)
        self._end = Connection(ours.detach())
        self._end.send(self._source)

    def ask(self, asked: Asked, wanted: Callable[[], bool] = lambda: True) -> Answered | None:
        """The answer, after those who came before; None where it is no longer `wanted`.

        Raises OverdueError, and whatever error of Ullage's planning raised.
        """
        found = None
        with self._lock:
            while found is None and wanted():  # whoever is left for another's sake asks again
                found = self._answer(asked)
        if found is None or isinstance(found, Answered):
            return found
        raise UllageError(str(found))

    def abandon(self, asked: Asked) -> None:
        """Ends the work on what was `asked`, if that is what is worked on; the process stays."""
        process = self._process
        if self._asked is asked and process is not None:
            process.send_signal(signal.SIGUSR1)

    def _answer(self, asked: Asked) -> object:
        """An `Answered`, what went wrong in words, or None: abandoned."""
        self.begin()
        assert self._end is not None
        try:
            self._ready = self._ready or bool(self._received(self._end))
            self._end.send(asked)
            self._asked = asked
            return self._received(self._end)
        except (EOFError, OSError) as error:
            self._clear()
            raise OverdueError("the process that planned ended: it may have taken too much memory") from error
        except OverdueError:
            self._clear()
            raise
        finally:
            self._asked = None

    def _received(self, end: Connection) -> object:
        if not end.poll(self._seconds):
            raise OverdueError(f"no answer within {self._seconds:g} s: a smaller workload has one")
        return end.recv()

    def stop(self) -> None:
        """Ends the process, whatever it does, and begins no other: who waits for an answer gets none."""
        self._over = True
        if self._process is not None:
            self._process.kill()

    def close(self) -> None:
        """Ends the process, and lets go of it."""
        self.stop()
        with self._lock:
            self._clear()

    def _clear(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        if self._end is not None:
            self._end.close()
        self._process = self._end = None
        self._ready = False


class _Line:
    """Those who wait for a worker, in a thread of its own: however many they are, they take none of the
    threads that whatever else is served has."""

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self.thread = ThreadPoolExecutor(1, "planner")
        self._waiting = 0

    async def answer(self, asked: Asked, gone: Callable[[], Awaitable[bool]]) -> Answered:
        """The answer; with status 204 where who asked has `gone`, for whom nothing is worked on any longer.

        Raises UllageError where too many wait, and as `Worker.ask`.
        """
        if self._waiting >= MOST_WAITING:
            raise UllageError(f"{MOST_WAITING} plans are waited for already; try again in a while")
        self._waiting += 1
        try:
            return await self._answer(asked, gone) or Answered(204, "", asked.state)
        finally:
            self._waiting -= 1

    async def _answer(self, asked: Asked, gone: Callable[[], Awaitable[bool]]) -> Answered | None:
        if await gone():
            return None
        left, loop = threading.Event(), asyncio.get_running_loop()
        found = loop.run_in_executor(self.thread, self.worker.ask, asked, lambda: not left.is_set())
        while not (await asyncio.wait([found], timeout=LOOK))[0]:
            if left.is_set() or await gone():
                left.set()
                self.worker.abandon(asked)
        return await found

    def close(self) -> None:
        self.worker.close()
        self.thread.shutdown(cancel_futures=True)


class Workers:
    """One that plans and one that searches: a plan never waits for advice."""

    def __init__(self, source: Source, seconds: float = SECONDS) -> None:
        self._plans, self._searches = _Line(Worker(source, seconds)), _Line(Worker(source, seconds))

    def begin(self) -> None:
        """Starts both."""
        self._plans.worker.begin()
        self._searches.worker.begin()

    async def answer(self, asked: Asked, gone: Callable[[], Awaitable[bool]]) -> Answered:
        """A page, a fragment of it, or a file; of status 204 where who asked has gone."""
        line = self._searches if asked.advice or asked.wanted == "advice" else self._plans
        return await line.answer(asked, gone)

    def stop(self) -> None:
        """Ends both at once, from any thread."""
        self._plans.worker.stop()
        self._searches.worker.stop()

    def close(self) -> None:
        """Ends both."""
        self._plans.close()
        self._searches.close()


def work(end: Connection) -> None:
    """Answers until nobody asks any more. Ctrl-C in the terminal is for the process that listens."""
    busy = False

    def abandon(*_: object) -> None:
        nonlocal busy
        if busy:
            busy = False
            raise AbandonedError

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGUSR1, abandon)
    _limit_memory()
    threading.Thread(target=_end_with, args=(end.fileno(),), daemon=True).start()
    with contextlib.suppress(EOFError, OSError):
        source: Source = end.recv()
        answer(source, Asked("page", State()))  # so that the first who asks need not wait for imports
        end.send(True)  # from here on it may be told to abandon what it does
        while True:
            asked = end.recv()
            found: object = None
            try:
                busy = True
                found = _found(source, asked)
                busy = False
            except AbandonedError:
                found = None
            end.send(found)


def _end_with(descriptor: int) -> None:
    """Ends this process, whatever it does, when who listens has gone without a word, as by SIGKILL."""
    hung_up = select.poll()
    hung_up.register(descriptor, 0)  # which tells of that alone
    hung_up.poll()
    os._exit(1)


def _found(source: Source, asked: Asked) -> Answered | str:
    """The answer, or what went wrong."""
    try:
        return answer(source, asked)
    except UllageError as error:
        return str(error)
    except MemoryError:
        return "planning this takes more memory than a page may"
    except Exception as error:  # the page must stand, and say it
        return f"internal error, please report it: {type(error).__name__}: {str(error)[:1000]}"


def _limit_memory() -> None:
    import resource

    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, resource.getrlimit(resource.RLIMIT_AS)[1]))
