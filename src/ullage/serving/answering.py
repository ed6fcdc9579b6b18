"""Answers to who is still there: what is made for somebody who has hung up is stopped."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, MutableMapping
from contextlib import aclosing, suppress
from typing import Any, Final, TypeVar

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ullage.serving.guard import Receive, Scope, Send
from ullage.serving.refusal import Refusal, ended, refusal_of

T = TypeVar("T")
_log = logging.getLogger(__name__)
DONE: Final = "data: [DONE]\n\n"
HUNG_UP: Final = 499
"""What is counted where nobody is left to be told; nginx's number."""


async def while_there(request: Request, work: Coroutine[Any, Any, T], seconds: float) -> T:
    """What comes of `work`. It is stopped where whoever asked hangs up, and after so many seconds.

    Raises Refusal.
    """
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_gone(request.receive))
    try:
        await asyncio.wait({working, leaving}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        if leaving.done():
            raise Refusal(HUNG_UP, "the client has hung up", "hung_up")
        raise too_late(seconds)
    finally:
        await _stop(working, leaving)


def too_late(seconds: float) -> Refusal:
    """It took longer than anything may."""
    return Refusal(504, f"there was no answer within {seconds:g} s; ask for less", "timeout")


class Events(Response):
    """Server-sent events as they come, until they end or nobody is left to read them."""

    media_type = "text/event-stream"

    def __init__(
        self,
        events: AsyncIterator[str],
        seconds: float,
        failed: Callable[[Refusal], str] = lambda refusal: event(refusal.body),
        end: str = DONE,
    ) -> None:
        """`events` are ready to be sent; they are closed whatever happens. What goes wrong is sent as
        `failed` says it, and `end` when all is over."""
        self._events, self._seconds, self._failed, self._end = events, seconds, failed, end
        self.background = None
        self.status_code = 200
        self.init_headers({"Cache-Control": "no-store", "X-Accel-Buffering": "no"})  # nginx's, to pass it on

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        sending = asyncio.ensure_future(self._send(send))
        leaving = asyncio.ensure_future(_gone(receive))
        cut = False
        try:
            await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if sending.done():
                sending.result()
        except asyncio.CancelledError:  # the server ends, and has waited as long as it does
            cut = True
        finally:
            await _stop(sending, leaving)
        if cut:
            await send(_part(self._failed(ended())))
            await self._over(send)

    async def _over(self, send: Send) -> None:
        await send(_part(self._end))
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _send(self, send: Send) -> None:
        try:
            async with asyncio.timeout(self._seconds), aclosing(self._events) as events:  # type: ignore[type-var]
                async for text in events:
                    await send(_part(text))
        except TimeoutError:
            await send(_part(self._failed(too_late(self._seconds))))
        except Exception as error:
            refusal = refusal_of(error)
            if refusal.status == 500:
                _log.error("a stream failed", exc_info=error)
            await send(_part(self._failed(refusal)))
        await self._over(send)


def event(data: dict[str, Any], name: str = "") -> str:
    """One event, by its `name` where it has one."""
    named = f"event: {name}\n" if name else ""
    return f"{named}data: {json.dumps(data, ensure_ascii=False, separators=(',', ':'))}\n\n"


def refused(refusal: Refusal) -> JSONResponse:
    """A refusal as a response."""
    return JSONResponse(refusal.body, refusal.status, refusal.headers)


def _part(text: str) -> MutableMapping[str, Any]:
    return {"type": "http.response.body", "body": text.encode(), "more_body": True}


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _stop(*tasks: asyncio.Future[Any]) -> None:
    for task in tasks:
        task.cancel()
    for task in tasks:
        with suppress(asyncio.CancelledError, Exception):
            await task
