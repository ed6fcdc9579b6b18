"""Requests for a workload that is served as one model: those that wait while others are answered are answered
together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ullage.workloads.kind import Answering, Asked, Told


@dataclass(slots=True, eq=False)
class _One:
    """A request; `found` is done once it is answered, or nobody waits for it."""

    asked: Asked
    begun: Callable[[], None]
    found: asyncio.Future[Told]


class Whole:
    """The workload, called `name`. Invariant: one batch is answered at a time, in `thread`, and has no more
    than it answers side by side, each user at most once; who came first is in the first that has room."""

    def __init__(self, name: str, answering: Answering, thread: ThreadPoolExecutor) -> None:
        self.name, self._answering, self._thread = name, answering, thread
        self._waiting: list[_One] = []
        self._working: asyncio.Task[None] | None = None

    async def answer(self, asked: Asked, begun: Callable[[], None]) -> Told:
        """What it answers; `begun` is called when it begins to. In the loop's thread, as all here.

        Raises InputError for what cannot be answered, and what the work raised.
        """
        self._answering.check(asked)
        one = _One(asked, begun, asyncio.get_running_loop().create_future())
        self._waiting.append(one)
        if self._working is None:
            self._working = asyncio.ensure_future(self._work())
        try:
            return await one.found
        finally:
            one.found.cancel()

    async def _work(self) -> None:
        """Answers batch after batch until nobody waits."""
        loop = asyncio.get_running_loop()
        try:
            while some := self._next():
                for one in some:
                    one.begun()
                asked = [one.asked for one in some]
                gone = _all_gone(some)
                try:
                    told = await loop.run_in_executor(self._thread, self._answering.answer, asked, gone)
                except Exception as error:
                    for one in some:
                        if not one.found.done():
                            one.found.set_exception(error)
                else:
                    for one, found in zip(some, told, strict=True):
                        if not one.found.done():
                            one.found.set_result(found)
        finally:
            self._working = None

    def _next(self) -> list[_One]:
        """Who is answered next; who has gone is forgotten."""
        taken: list[_One] = []
        left: list[_One] = []
        for one in self._waiting:
            if one.found.done():
                continue
            user = one.asked.user
            alone = not user or all(other.asked.user != user for other in (*taken, *left))
            (taken if alone and len(taken) < self._answering.most else left).append(one)
        self._waiting = left
        return taken


def _all_gone(some: list[_One]) -> Callable[[], bool]:
    return lambda: all(one.found.done() for one in some)
