"""Requests for one role that writes: those that wait while others are answered are answered together."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ullage.engines.engine import Ask, Collating, Piece, Prompt, Reply, Sampling
from ullage.serving.room import check_characters, too_long

if TYPE_CHECKING:
    from ullage.runtime.batching import Splitter
    from ullage.runtime.pool import Pool
    from ullage.runtime.pool.lease import AsyncLease
    from ullage.serving.lending import Lent

BEGUN = "begun"
"""What a job is told once its batch is being written."""
Event = Piece | Reply | Exception | str


@dataclass(slots=True, eq=False)
class Job:
    """One request for one reply. `gone`: whoever asked has hung up; `given` pieces were told of; `ended`: it
    has its reply, or why not. Its `lease` ends then, however slowly its client reads."""

    ask: Ask
    sampling: Sampling
    lease: AsyncLease | None = None
    events: asyncio.Queue[Event] = field(default_factory=asyncio.Queue)
    asked: float = field(default_factory=time.monotonic)
    length: int = 0
    given: int = 0
    gone: bool = False
    ended: bool = False

    @property
    def way(self) -> tuple[float, float, tuple[str, ...]]:
        """Those that are written alike may be in one batch."""
        return self.sampling.temperature, self.sampling.top_p, self.sampling.stop


class Desk:
    """Invariant: a job that has been handed in is in one batch, or told why in none; batches hold no more
    than was planned, and jobs go in the order they came, but for those that are written otherwise."""

    def __init__(self, name: str, pool: Pool, splitter: Splitter, room: int) -> None:
        """`room` is how many tokens a prompt may have."""
        self.name, self._pool, self._splitter, self._room = name, pool, splitter, room
        self._mutex = threading.Lock()
        self._waiting: list[Job] = []

    async def answer(self, job: Job) -> AsyncIterator[Piece | Reply | str]:
        """Waits for a loan of the role, then gives what comes: BEGUN, pieces, the reply.

        Left before its end, the job leaves its batch. Raises what the wait, a load or the work raised.
        """
        loop = asyncio.get_running_loop()
        try:
            async with self._pool.lease(self.name) as lease:
                job.lease = lease
                with self._mutex:
                    self._waiting.append(job)
                lease.submit(lambda lent: self._turn(lent, loop))  # type: ignore[arg-type]
                while True:
                    event = await job.events.get()
                    if isinstance(event, Exception):
                        raise event
                    yield event
                    if isinstance(event, Reply):
                        return
        finally:
            job.gone = True

    def _turn(self, lent: Lent, loop: asyncio.AbstractEventLoop) -> None:
        """Answers as many of those who wait as one batch holds. In the device's thread."""
        engine = lent.engine
        assert isinstance(engine, Collating)
        some = self._next(lent, loop)
        if not some:
            return
        _tell(loop, [(job, BEGUN) for job in some])
        lengths = [job.length for job in some]
        try:
            self._splitter.run(
                range(len(some)), lengths, lambda batch: _write(engine, [some[at] for at in batch], loop)
            )
        except Exception as error:
            _tell(loop, [(job, error) for job in some if not job.ended])

    def _next(self, lent: Lent, loop: asyncio.AbstractEventLoop) -> list[Job]:
        with self._mutex:
            waiting, self._waiting = self._waiting, []
        ready = [job for job in waiting if not job.gone and self._measured(job, lent, loop)]
        taken: list[Job] = []
        for job in ready:
            longest = max([job.length, *(one.length for one in taken)])
            alike = not taken or job.way == taken[0].way
            if alike and self._splitter.limits.hold(len(taken) + 1, longest):
                taken.append(job)
        left = [job for job in ready if job not in taken]
        with self._mutex:
            self._waiting = [*left, *self._waiting]
        return taken

    def _measured(self, job: Job, lent: Lent, loop: asyncio.AbstractEventLoop) -> bool:
        """Whether its prompt is one, and fits."""
        if job.length:
            return True
        try:
            check_characters(self.name, _texts(job.ask.prompt), self._room, "messages")
            read = [job.ask.prompt, job.ask.begins] if job.ask.begins else [job.ask.prompt]
            job.length = sum(lent.engine.lengths(read))  # type: ignore[attr-defined]
            if job.length > self._room:
                raise too_long(self.name, job.length, self._room, "messages")
        except Exception as error:
            _tell(loop, [(job, error)])
            return False
        return True


def _texts(prompt: Prompt) -> list[str]:
    return [prompt] if isinstance(prompt, str) else [said["content"] for said in prompt]


def _write(engine: Collating, jobs: Sequence[Job], loop: asyncio.AbstractEventLoop) -> list[None]:
    """Writes one batch. Where it is written again, in halves, nothing is told twice."""
    sampling = Sampling(max(job.ask.new_tokens for job in jobs), *jobs[0].way)
    seen = [0] * len(jobs)
    for grown in engine.write([job.ask for job in jobs], sampling, lambda at: jobs[at].gone):
        events: list[tuple[Job, Event]] = []
        for at, each in grown:
            if isinstance(each, Piece):
                seen[at] += 1
                if seen[at] <= jobs[at].given:
                    continue
                jobs[at].given += 1
            else:
                jobs[at].ended = True
            events.append((jobs[at], each))
        if events:
            _tell(loop, events)
    return [None] * len(jobs)


def _tell(loop: asyncio.AbstractEventLoop, events: Sequence[tuple[Job, Event]]) -> None:
    """One wake-up of the loop for all of them."""
    for job, event in events:
        job.ended = job.ended or isinstance(event, Exception)
    loop.call_soon_threadsafe(_deliver, tuple(events))


def _deliver(events: Sequence[tuple[Job, Event]]) -> None:
    for job, event in events:
        job.events.put_nowait(event)
        if job.lease is not None and isinstance(event, Reply | Exception):
            job.lease.end()
