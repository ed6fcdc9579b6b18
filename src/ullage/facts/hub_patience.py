"""An end to what a hub is waited for, be it late, silent or slow without end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from time import monotonic
from typing import Final, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

TIMES: Final = 6
"""How many times the seconds that one silence may last a whole model may take."""


class TooSlowError(Exception):
    """A hub that is not done in time."""


class Patience:
    """How long one model of a hub is waited for: huggingface_hub's own `HF_HUB_ETAG_TIMEOUT` for what it has
    and `HF_HUB_DOWNLOAD_TIMEOUT` for a piece of a file without a byte; `TIMES` the longer one in all."""

    def __init__(self) -> None:
        from huggingface_hub import constants

        self.answer = float(constants.HF_HUB_ETAG_TIMEOUT)
        self.piece = float(constants.HF_HUB_DOWNLOAD_TIMEOUT)
        self.all = TIMES * max(self.answer, self.piece)
        self._ends = monotonic() + self.all

    def check(self) -> None:
        """Raises TooSlowError when it is over."""
        if monotonic() > self._ends:
            raise TooSlowError(f"it was not done within {self.all:g} s")

    def await_(self, work: Callable[[], Result]) -> Result:
        """What `work` comes to. Raises TooSlowError, and what it raises."""
        return next(self.await_each(lambda _: work(), [None]))

    def await_each(
        self, work: Callable[[Item], Result], items: Sequence[Item], at_once: int = 1
    ) -> Iterator[Result]:
        """What `work` comes to for each of `items`, in their order.

        It is done in threads that nobody waits for: one that a server holds up ends with the process. Raises
        TooSlowError, and the first error of `work`.
        """
        jobs, taking = iter(enumerate(items)), Lock()
        done: SimpleQueue[tuple[int, Result | None, BaseException | None]] = SimpleQueue()
        over = False

        def run() -> None:
            while True:
                with taking:
                    job = None if over else next(jobs, None)
                if job is None:
                    return
                try:
                    done.put((job[0], work(job[1]), None))
                except BaseException as error:  # raised where it is waited for
                    done.put((job[0], None, error))

        for _ in range(min(at_once, len(items))):
            Thread(target=run, daemon=True).start()
        found: dict[int, Result | None] = {}
        try:
            for at in range(len(items)):
                while at not in found:
                    index, result, error = self._next(done)
                    if error is not None:
                        raise error
                    found[index] = result
                yield found.pop(at)  # type: ignore[misc]
        finally:
            over = True

    def _next(
        self, done: SimpleQueue[tuple[int, Result | None, BaseException | None]]
    ) -> tuple[int, Result | None, BaseException | None]:
        try:
            return done.get(timeout=max(self._ends - monotonic(), 0.001))
        except Empty:
            raise TooSlowError(f"it was not done within {self.all:g} s") from None
