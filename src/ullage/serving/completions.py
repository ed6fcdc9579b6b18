"""Chat completions: whole, or streamed."""

# Annotations are not postponed here: FastAPI reads them.

from collections.abc import AsyncIterator
from contextlib import aclosing

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

from ullage.serving.answered import Completion, Head, new_head
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
        return JSONResponse(new_head(answer.name).whole(said.message, said.finish, said.logprobs, said.usage))


async def _events(head: Head, parts: Parts) -> AsyncIterator[str]:
    """An answer's events as they are sent."""
    async with aclosing(parts):
        yield event(head.part({"role": "assistant", "content": ""}))
        async for each in parts:
            if isinstance(each, Waiting):
                yield f": {each.said}\n\n"
            elif isinstance(each, str):
                yield event(head.part({"content": each}))
            else:
                delta = {name: each.message[name] for name in ("images",) if name in each.message}
                if "tool_calls" in each.message:
                    calls = enumerate(each.message["tool_calls"])
                    delta["tool_calls"] = [{"index": at, **call} for at, call in calls]
                if delta:
                    yield event(head.part(delta))
                yield event(head.part({}, each.finish, each.logprobs))
                if head.counts:
                    yield event(head.used(each.usage))
