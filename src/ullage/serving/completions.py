"""Chat completions: whole, or streamed."""

# Annotations are not postponed here: FastAPI reads them.

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

from ullage.serving.answered import Completion, Head, new_head, usage_together
from ullage.serving.answering import Events, event
from ullage.serving.asked import ChatRequest
from ullage.serving.refusal import REFUSED
from ullage.serving.served import Served, Waiting
from ullage.serving.spoken import Parts, spoken


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
        answer = spoken(served, body)
        if body.stream:
            usage = body.stream_options is not None and body.stream_options.include_usage
            parts = await answer.parts()
            return Events(_events(new_head(answer.name, usage), parts), served.seconds)
        said = await answer.whole(request)
        choices = [
            {"index": at, "message": each.message, "logprobs": each.logprobs, "finish_reason": each.finish}
            for at, each in enumerate(said)
        ]
        used = usage_together([each.usage for each in said])
        return JSONResponse(new_head(answer.name).whole(choices, used))


async def _events(head: Head, parts: Parts) -> AsyncIterator[str]:
    """An answer's events as they are sent."""
    async with aclosing(parts):
        for at in range(parts.count):
            yield event(head.part(at, {"role": "assistant", "content": ""}))
        usages = []
        async for each in parts:
            if isinstance(each, Waiting):
                yield f": {each.said}\n\n"
            elif isinstance(each.said, str):
                yield event(head.part(each.at, {"content": each.said}))
            else:
                delta = _delta(each.said.message)
                if delta:
                    yield event(head.part(each.at, delta))
                yield event(head.part(each.at, {}, each.said.finish, each.said.logprobs))
                usages.append(each.said.usage)
        if head.counts:
            yield event(head.used(usage_together(usages)))


def _delta(message: dict[str, Any]) -> dict[str, Any]:
    """What of a message comes at its end: pictures, and calls."""
    found = {name: message[name] for name in ("images",) if name in message}
    if "tool_calls" in message:
        found["tool_calls"] = [{"index": at, **call} for at, call in enumerate(message["tool_calls"])]
    return found
