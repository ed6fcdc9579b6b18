"""A chat while it is answered, whoever does: a role that writes, one that looks at a picture, or all of them
together."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

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

PATIENCE_SECONDS: Final = 0.5
"""How long a stream waits for its first token before it begins, and a refusal can be no status any more."""


@dataclass(frozen=True, slots=True)
class Spoken:
    """What comes of a chat: `events` are pieces, where they were asked for, and at last what `said` makes a
    message of."""

    served: Served
    name: str
    events: AsyncIterator[Any]
    said: Callable[[Any], SaidBack]

    async def whole(self, request: Request) -> SaidBack:
        """All of it at once. Raises Refusal."""
        return await while_there(request, self._last(), self.served.seconds)

    async def _last(self) -> SaidBack:
        last = None
        async with aclosing(self.events) as events:  # type: ignore[type-var]
            async for each in events:
                last = each
        return self.said(last)

    async def parts(self) -> Parts:
        """It as it comes, from its first token on, or, where that is long in coming, from where the role is.

        Raises Refusal for what goes wrong until then.
        """
        events = self.served.with_news(self.name, self.events)
        coming = asyncio.ensure_future(anext(events))
        parts = Parts(coming, events, self.said)
        try:
            await asyncio.wait({coming}, timeout=PATIENCE_SECONDS)
            if coming.done():
                coming.result()
        except BaseException:
            await parts.aclose()
            raise
        return parts


class Parts:
    """An answer that has begun: where the role is for as long as nothing comes, the text piece by piece, and
    at last the whole of it.

    Invariant: whoever has closed it holds no loan, whether or not a part was taken.
    """

    def __init__(
        self, coming: asyncio.Future[Any], events: AsyncIterator[Any], said: Callable[[Any], SaidBack]
    ) -> None:
        """`coming` is the first of `events`."""
        self._coming, self._events, self._said = coming, events, said

    async def __aiter__(self) -> AsyncIterator[Waiting | str | SaidBack]:
        told = 0
        async for each in self._all():
            if isinstance(each, Waiting):
                yield each
            elif isinstance(each, Piece):
                told += len(each.text)
                if each.text:
                    yield each.text
            else:
                found = self._said(each)
                rest = (found.message["content"] or "")[told:]
                if rest:
                    yield rest
                yield found

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
    if body.logprobs and name not in served.lending.desks:
        said = f"logprobs: {name} gives none; roles that write texts here do"
        raise Refusal(400, said, "unsupported_parameter", param="logprobs")
    choice = choice_of(body)
    if (choice.begins or choice.ends) and name not in served.lending.desks:
        param = "tool_choice" if choice.begins else "parallel_tool_calls"
        said = f"{param}: nothing here holds {name} to it; roles that write texts here are held"
        raise Refusal(400, said, "unsupported_parameter", param=param)
    if served.is_whole(name):
        conversation = Asked(tuple(turns_of(body, name)), body.user or "")
        return Spoken(served, name, _once(lambda: served.told(name, conversation)), told_back)
    most = served.lending.new_tokens(name)
    if "pictures" in served.does(name):
        question, sampling = question_of(body, name), sampling_of(body, name, most)
        seed = secrets.randbits(31) if body.seed is None else body.seed % 2**31
        return Spoken(served, name, _once(lambda: served.seen(name, question, sampling, seed)), said_back)
    asked = wanted(body, choice, name, most)
    said_of = partial(said_back, choice=choice, logprobs=bool(body.logprobs))
    return Spoken(served, name, served.texts(name, asked), said_of)


async def _once(work: Callable[[], Awaitable[Any]]) -> AsyncIterator[Any]:
    yield await work()
