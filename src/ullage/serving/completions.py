"""Chat completions: whole, or streamed."""

# Annotations are not postponed here: FastAPI reads them.

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

from ullage.engines.engine import Piece, Reply
from ullage.serving.answered import Completion, chunk, completion
from ullage.serving.answering import Events, event, while_there
from ullage.serving.asked import ChatRequest
from ullage.serving.chats import (
    SaidBack,
    Wanted,
    question_of,
    said_back,
    sampling_of,
    told_back,
    turns_of,
    wanted,
)
from ullage.serving.refusal import REFUSED
from ullage.serving.served import Served, Waiting
from ullage.workloads.kind import Told

PATIENCE_SECONDS: Final = 0.5
"""How long a stream waits for its first token before it begins, and a refusal can be no status any more."""


def add_completions(app: FastAPI, served: Served) -> None:
    @app.post(
        "/v1/chat/completions",
        response_model=None,
        responses={
            200: {
                "model": Completion,
                "content": {"text/event-stream": {"schema": {"type": "string"}}},
                "description": "The answer; with stream: true its parts as server-sent events",
            },
            **REFUSED,
        },
    )
    async def chat(body: ChatRequest, request: Request) -> Response:
        """A role's answer to a chat."""
        name = served.role(body.model, "chat")
        if served.is_whole(name):
            return await _of_whole(body, request, served, name)
        if "pictures" in served.does(name):
            return await _of_picture(body, request, served, name)
        asked = wanted(body, name, served.lending.new_tokens(name))
        if body.stream:
            usage = body.stream_options is not None and body.stream_options.include_usage
            return await _streamed(served, name, asked, request, usage)
        reply = await while_there(request, _whole(served, name, asked), served.seconds)
        return _completed(name, reply, asked.tools)


async def _whole(served: Served, name: str, asked: Wanted) -> Reply:
    reply = None
    async for each in served.texts(name, asked):
        if isinstance(each, Reply):
            reply = each
    assert reply is not None
    return reply


def _completed(name: str, reply: Reply, tools: bool) -> JSONResponse:
    return JSONResponse(completion(_id(), int(time.time()), name, *said_back(reply, tools)))


async def _of_picture(body: ChatRequest, request: Request, served: Served, name: str) -> Response:
    question, sampling = question_of(body, name), sampling_of(body, name, served.lending.new_tokens(name))
    seed = secrets.randbits(31) if body.seed is None else body.seed % 2**31
    reply = await while_there(request, served.seen(name, question, sampling, seed), served.seconds)
    if not body.stream:
        return _completed(name, reply, False)
    usage = body.stream_options is not None and body.stream_options.include_usage
    return Events(_parts(name, _at_once(reply), partial(said_back, tools=False), usage), served.seconds)


async def _of_whole(body: ChatRequest, request: Request, served: Served, name: str) -> Response:
    """What all roles together answer: whole, also where it is streamed."""
    work = served.told(name, turns_of(body, name), body.user or "")
    if not body.stream:
        message, finish, used = told_back(await while_there(request, work, served.seconds))
        return JSONResponse(completion(_id(), int(time.time()), name, message, finish, used))
    usage = body.stream_options is not None and body.stream_options.include_usage

    async def once() -> AsyncIterator[Told]:
        yield await work

    events, coming = await _begun(served.with_news(name, once()))
    return Events(_parts(name, _from(coming, events), told_back, usage), served.seconds)


async def _at_once(reply: Reply) -> AsyncIterator[Piece | Reply | Waiting]:
    yield reply


async def _streamed(served: Served, name: str, asked: Wanted, request: Request, usage: bool) -> Response:
    """A stream that begins with its first token, or, where that is long in coming, with where the role is."""
    events, coming = await _begun(served.with_news(name, served.texts(name, asked)))
    return Events(
        _parts(name, _from(coming, events), partial(said_back, tools=asked.tools), usage), served.seconds
    )


async def _begun(events: AsyncIterator[Any]) -> tuple[AsyncIterator[Any], Awaitable[Any]]:
    """Events, and the first of them, which may be still to come; what it raises soon is a status still."""
    coming = asyncio.ensure_future(anext(events))
    await asyncio.wait({coming}, timeout=PATIENCE_SECONDS)
    if coming.done():
        coming.result()
    return events, coming


async def _from(first: Awaitable[Any], events: AsyncIterator[Any]) -> AsyncIterator[Any]:
    try:
        yield await first
        async for each in events:
            yield each
    finally:
        await events.aclose()  # type: ignore[attr-defined]


async def _parts(
    name: str, events: AsyncIterator[Any], said: Callable[[Any], SaidBack], usage: bool
) -> AsyncIterator[str]:
    """An answer's events as they are sent; `said` makes a message of what comes last."""
    id_, created = _id(), int(time.time())
    yield event(chunk(id_, created, name, {"role": "assistant", "content": ""}))
    told = 0
    try:
        async for each in events:
            if isinstance(each, Waiting):
                yield f": {each.said}\n\n"
            elif isinstance(each, Piece):
                told += len(each.text)
                if each.text:
                    yield event(chunk(id_, created, name, {"content": each.text}))
            else:
                message, finish, used = said(each)
                delta = {"content": (message["content"] or "")[told:]}
                if "images" in message:
                    delta["images"] = message["images"]
                if "tool_calls" in message:
                    calls = enumerate(message["tool_calls"])
                    delta["tool_calls"] = [{"index": at, **call} for at, call in calls]
                if delta["content"] or len(delta) > 1:
                    yield event(chunk(id_, created, name, delta))
                yield event(chunk(id_, created, name, {}, finish))
                if usage:
                    yield event({**chunk(id_, created, name, {}), "choices": [], "usage": used})
    finally:
        await events.aclose()  # type: ignore[attr-defined]


def _id() -> str:
    return f"chatcmpl-{secrets.token_hex(12)}"
