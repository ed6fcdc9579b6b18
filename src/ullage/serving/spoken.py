"""A chat while it is answered, whoever does: a role that writes, one that looks at a picture, or all of them
together."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

from ullage.engines.engine import Piece
from ullage.serving.answering import while_there
from ullage.serving.chats import (
    SaidBack,
    question_of,
    said_back,
    sampling_of,
    told_back,
    turns_of,
    wanted,
)
from ullage.serving.choice import choice_of
from ullage.serving.refusal import Refusal
from ullage.serving.served import Served, Waiting
from ullage.workloads.kind import Asked

if TYPE_CHECKING:
    from starlette.requests import Request

    from ullage.serving.asked import ChatRequest

T = TypeVar("T")
PATIENCE_SECONDS: Final = 0.5
"""How long a stream waits for its first token before it begins, and a refusal can be no status any more."""


@dataclass(frozen=True, slots=True)
class Spoken:
    """What comes of a chat: `answers`, each of pieces, where they were asked for, and at last of what `said`
    makes a message of."""

    served: Served
    name: str
    answers: Sequence[AsyncIterator[Any]]
    said: Callable[[Any], SaidBack]

    async def whole(self, request: Request) -> list[SaidBack]:
        """Each answer, all of it at once. Raises Refusal."""
        return await while_there(request, self._last(), self.served.seconds)

    async def _last(self) -> list[SaidBack]:
        last: dict[int, Any] = {}
        async with aclosing(side_by_side(self.answers)) as events:  # type: ignore[type-var]
            async for at, each in events:
                last[at] = each
        return [self.said(last[at]) for at in range(len(self.answers))]

    async def parts(self) -> Parts:
        """It as it comes, from its first token on, or, where that is long in coming, from where the role is.

        Raises Refusal for what goes wrong until then.
        """
        events = self.served.with_news(self.name, side_by_side(self.answers))
        coming = asyncio.ensure_future(anext(events))
        parts = Parts(coming, events, self.said, len(self.answers))
        try:
            await asyncio.wait({coming}, timeout=PATIENCE_SECONDS)
            if coming.done():
                coming.result()
        except BaseException:
            await parts.aclose()
            raise
        return parts


@dataclass(frozen=True, slots=True)
class Part:
    """Of the answer at place `at`: more text, or at last the whole of it."""

    at: int
    said: str | SaidBack


class Parts:
    """`count` answers that have begun: where the role is for as long as nothing comes, each text piece by
    piece, and at last the whole of it.

    Invariant: whoever has closed it holds no loan, whether or not a part was taken.
    """

    def __init__(
        self,
        coming: asyncio.Future[Any],
        events: AsyncIterator[Any],
        said: Callable[[Any], SaidBack],
        count: int,
    ) -> None:
        """`coming` is the first of `events`."""
        self._coming, self._events, self._said, self.count = coming, events, said, count

    async def __aiter__(self) -> AsyncIterator[Waiting | Part]:
        told = [0] * self.count
        async for event in self._all():
            if isinstance(event, Waiting):
                yield event
                continue
            at, each = event
            if isinstance(each, Piece):
                told[at] += len(each.text)
                if each.text:
                    yield Part(at, each.text)
            else:
                found = self._said(each)
                rest = (found.message["content"] or "")[told[at] :]
                if rest:
                    yield Part(at, rest)
                yield Part(at, found)

    async def _all(self) -> AsyncIterator[Any]:
        yield await self._coming
        async for each in self._events:
            yield each

    async def aclose(self) -> None:
        """Gives back what it holds."""
        self._coming.cancel()
        await asyncio.gather(self._coming, return_exceptions=True)
        await self._events.aclose()  # type: ignore[attr-defined]


def spoken(served: Served, body: ChatRequest) -> Spoken:
    """The answer to a chat. Raises Refusal for what is not done."""
    name = served.role(body.model, "chat")
    _check_done(served, body, name)
    choice = choice_of(body)
    if (choice.begins or choice.ends) and name not in served.lending.desks:
        param = "tool_choice" if choice.begins else "parallel_tool_calls"
        said = f"{param}: nothing here holds {name} to it; roles that write texts here are held"
        raise Refusal(400, said, "unsupported_parameter", param=param)
    if served.is_whole(name):
        conversation = Asked(tuple(turns_of(body, name)), body.user or "")
        return Spoken(served, name, [_once(lambda: served.told(name, conversation))], told_back)
    most = served.lending.new_tokens(name)
    if "pictures" in served.does(name):
        question, sampling = question_of(body, name), sampling_of(body, name, most)
        seed = secrets.randbits(31) if body.seed is None else body.seed % 2**31
        looked = _once(lambda: served.seen(name, question, sampling, seed))
        return Spoken(served, name, [looked], said_back)
    asked = wanted(body, choice, name, most)
    said_of = partial(said_back, choice=choice, logprobs=bool(body.logprobs))
    answers = [served.texts(name, asked.drawn(at)) for at in range(body.n or 1)]
    return Spoken(served, name, answers, said_of)


def _check_done(served: Served, body: ChatRequest, name: str) -> None:
    """Raises Refusal for what only roles that write texts here do, or this one not so."""
    several = body.n is not None and body.n > 1
    for param, given, has in (("logprobs", body.logprobs, "none"), ("n", several, "one answer")):
        if given and name not in served.lending.desks:
            said = f"{param}: {name} gives {has}; roles that write texts here do"
            raise Refusal(400, said, "unsupported_parameter", param=param)
    if body.top_logprobs and not body.logprobs:
        raise Refusal(
            400, "top_logprobs: are told with logprobs: true", "invalid_value", param="top_logprobs"
        )
    if several and not body.temperature:
        said = "n: the likeliest answer is one; give a temperature to have more drawn"
        raise Refusal(400, said, "invalid_value", param="n")
    most = min(served.lending.batch(name), served.queue.most) if several else 1  # each has a place in it
    if (body.n or 1) > most:
        said = f"n: {body.n} is more than the {most} that role {name} writes at once"
        raise Refusal(400, said, "invalid_value", param="n")


async def side_by_side(some: Sequence[AsyncIterator[T]]) -> AsyncIterator[tuple[int, T]]:
    """What comes of each with its place, as it comes. What one raises ends all."""
    if len(some) == 1:  # no task a token
        async with aclosing(some[0]) as events:  # type: ignore[type-var]
            async for each in events:
                yield 0, each
        return
    coming = {asyncio.ensure_future(anext(one)): at for at, one in enumerate(some)}
    try:
        while coming:
            done, _ = await asyncio.wait(coming, return_when=asyncio.FIRST_COMPLETED)
            for task in sorted(done, key=coming.__getitem__):
                at = coming.pop(task)
                try:
                    found = task.result()
                except StopAsyncIteration:
                    continue
                coming[asyncio.ensure_future(anext(some[at]))] = at
                yield at, found
    finally:
        for task in coming:
            task.cancel()
        await asyncio.gather(*coming, return_exceptions=True)
        for one in some:
            await one.aclose()  # type: ignore[attr-defined]


async def _once(work: Callable[[], Awaitable[Any]]) -> AsyncIterator[Any]:
    yield await work()
