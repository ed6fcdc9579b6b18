"""One thread a device, in which models run."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import TypeVar

T = TypeVar("T")


class Workers:
    """Runs work on devices: on each one piece at a time, a model's that has several on all of them."""

    def __init__(self, devices: Collection[str]) -> None:
        self._threads = {
            device: ThreadPoolExecutor(1, thread_name_prefix=f"ullage-{device}") for device in devices
        }
        self._busy = {device: threading.RLock() for device in devices}
        self._own = threading.local()

    def submit(self, devices: Collection[str], work: Callable[[], T]) -> Future[T]:
        """The result of `work`, once it was its turn; at once where it is asked for by what runs there."""
        order = sorted(devices)
        if getattr(self._own, "devices", None) == order:
            return _at_once(work)
        return self._threads[order[0]].submit(self._run, order, work)

    def _run(self, devices: list[str], work: Callable[[], T]) -> T:
        with self.working(devices):
            return work()

    @contextmanager
    def working(self, devices: Collection[str]) -> Iterator[None]:
        """Inside, nothing else runs on these devices but what this thread has them do."""
        order, before = sorted(devices), getattr(self._own, "devices", None)
        with ExitStack() as held:
            for device in order:
                held.enter_context(self._busy[device])
            self._own.devices = order
            try:
                yield
            finally:
                self._own.devices = before

    def close(self) -> None:
        """What was begun is ended; nothing more is asked."""
        for thread in self._threads.values():
            thread.shutdown(wait=False)


def _at_once(work: Callable[[], T]) -> Future[T]:
    done: Future[T] = Future()
    try:
        done.set_result(work())
    except BaseException as error:
        done.set_exception(error)
    return done
