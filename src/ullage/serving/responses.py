"""Responses, OpenAI's other form of a chat: whole, or streamed. Nothing is kept of one, and tools are not
among them."""

# Annotations are not postponed here: FastAPI reads them.

import secrets
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

from ullage.serving.answered import Responded
from ullage.serving.answering import Events, event
from ullage.serving.asked import (
    AssistantInput,
    AssistantMessage,
    ChatRequest,
    ImagePart,
    ImageUrl,
    Input,
    InputImage,
    Message,
    ResponseRequest,
    SystemMessage,
    TextPart,
    UserInput,
    UserMessage,
)
from ullage.serving.chats import SaidBack
from ullage.serving.refusal import REFUSED, Refusal
from ullage.serving.served import Served, Waiting
from ullage.serving.spoken import Parts, spoken

NAMES: Final = {"messages": "input", "max_completion_tokens": "max_output_tokens"}
"""Fields of a response by those of a chat."""


def add_responses(app: FastAPI, served: Served) -> None:
    @app.post(
        "/v1/responses",
        response_model=None,
        responses={
            200: {
                "model": Responded,
                "content": {"text/event-stream": {"schema": {"type": "string"}}},
                "description": "The response; with stream: true what becomes of it as server-sent events",
            },
            **REFUSED,
        },
    )
    async def responses(body: ResponseRequest, request: Request) -> Response:
        """A role's answer to a text or a conversation."""
        form = Form(body)
        try:
            answer = spoken(served, _chat(body))
            if body.stream:
                return Events(_events(form, await answer.parts()), served.seconds, form.failed, end="")
            (said,) = await answer.whole(request)
            return JSONResponse(form.ended(said))
        except Refusal as refusal:
            raise _by_its_names(refusal) from None


def _chat(body: ResponseRequest) -> ChatRequest:
    """The same as a chat, whose bounds it has met: instructions are one message more."""
    return ChatRequest.model_construct(
        model=body.model,
        messages=[*_messages(body)],
        max_completion_tokens=body.max_output_tokens,
        temperature=body.temperature,
        top_p=body.top_p,
        stream=body.stream,
        user=body.user,
    )


def _by_its_names(refusal: Refusal) -> Refusal:
    """A refusal of the chat, of the field that the response has instead."""
    here = NAMES.get(refusal.param or "")
    if here is None:
        return refusal
    said = refusal.message
    if said.startswith(f"{refusal.param}: "):
        said = here + said.removeprefix(str(refusal.param))
    return Refusal(refusal.status, said, refusal.code, param=here, again=refusal.again)


def _messages(body: ResponseRequest) -> Iterator[Message]:
    if body.instructions is not None:
        yield SystemMessage(role="system", content=body.instructions)
    if isinstance(body.input, str):
        yield UserMessage(role="user", content=body.input)
    else:
        yield from map(_message, body.input)


def _message(said: Input) -> Message:
    content: Any = said.content
    if not isinstance(content, str):
        content = [
            ImagePart(type="image_url", image_url=ImageUrl(url=part.image_url))
            if isinstance(part, InputImage)
            else TextPart(type="text", text=part.text)
            for part in content
        ]
    if isinstance(said, UserInput):
        return UserMessage(role="user", content=content)
    if isinstance(said, AssistantInput):
        return AssistantMessage(role="assistant", content=content)
    return SystemMessage(role=said.role, content=content)


def _new_id(kind: str) -> str:
    return f"{kind}_{secrets.token_hex(16)}"


@dataclass(slots=True, eq=False)
class Form:
    """One response as it is said back; its events are numbered in the order they are made."""

    body: ResponseRequest
    id: str = field(default_factory=lambda: _new_id("resp"))
    item: str = field(default_factory=lambda: _new_id("msg"))
    created: int = field(default_factory=lambda: int(time.time()))
    _number: Callable[[], int] = field(default_factory=lambda: count().__next__)

    def event(self, kind: str, **said: Any) -> str:
        """The next event."""
        return event({"type": kind, "sequence_number": self._number(), **said}, kind)

    def at(self, kind: str, **said: Any) -> str:
        """The next event about the one text that there is."""
        return self.event(kind, item_id=self.item, output_index=0, content_index=0, **said)

    def failed(self, refusal: Refusal) -> str:
        """The last event of what goes wrong once it has begun."""
        named = _by_its_names(refusal)
        return self.event("error", code=named.code, message=named.message, param=named.param)

    def text(self, text: str) -> dict[str, Any]:
        """The text as a part of the message."""
        return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}

    def message(self, status: str, *content: dict[str, Any]) -> dict[str, Any]:
        """The message, as far as it goes."""
        return {
            "id": self.item,
            "type": "message",
            "role": "assistant",
            "status": status,
            "content": [*content],
        }

    def response(self, status: str, **more: Any) -> dict[str, Any]:
        """All that is known of it, and what was asked."""
        body = self.body
        found = {
            "id": self.id,
            "object": "response",
            "created_at": self.created,
            "status": status,
            "background": False,
            "error": None,
            "incomplete_details": None,
            "instructions": body.instructions,
            "max_output_tokens": body.max_output_tokens,
            "metadata": body.metadata or {},
            "model": body.model,
            "output": [],
            "parallel_tool_calls": True,
            "previous_response_id": None,
            "store": False,
            "temperature": body.temperature or 0.0,
            "text": {"format": {"type": "text"}},
            "tool_choice": "auto",
            "tools": [],
            "top_p": 1.0 if body.top_p is None else body.top_p,
            "truncation": "disabled",
            "usage": None,
            "user": body.user,
        }
        return found | more

    def ended(self, said: SaidBack) -> dict[str, Any]:
        """The whole response."""
        cut = said.finish == "length"
        status = "incomplete" if cut else "completed"
        usage = {
            "input_tokens": said.usage["prompt_tokens"],
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": said.usage["completion_tokens"],
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": said.usage["total_tokens"],
        }
        message = self.message(status, self.text(said.message["content"] or ""))
        return self.response(
            status,
            output=[message, *_painted(said)],
            incomplete_details={"reason": "max_output_tokens"} if cut else None,
            usage=usage,
        )


def _painted(said: SaidBack) -> Iterator[dict[str, Any]]:
    for picture in said.message.get("images", []):
        yield {
            "id": _new_id("ig"),
            "type": "image_generation_call",
            "status": "completed",
            "result": picture["image_url"]["url"].partition(",")[2],
        }


async def _events(form: Form, parts: Parts) -> AsyncIterator[str]:
    """What becomes of a response, in the order and by the names that OpenAI gives it."""
    texts: list[str] = []
    async with aclosing(parts):
        for kind in ("created", "in_progress"):
            yield form.event(f"response.{kind}", response=form.response("in_progress"))
        yield form.event("response.output_item.added", output_index=0, item=form.message("in_progress"))
        yield form.at("response.content_part.added", part=form.text(""))
        async for each in parts:
            if isinstance(each, Waiting):
                yield f": {each.said}\n\n"
            elif isinstance(each.said, str):
                texts.append(each.said)
                yield form.at("response.output_text.delta", delta=each.said, logprobs=[])
            else:
                text, whole = "".join(texts), form.ended(each.said)
                yield form.at("response.output_text.done", text=text, logprobs=[])
                yield form.at("response.content_part.done", part=form.text(text))
                yield form.event("response.output_item.done", output_index=0, item=whole["output"][0])
                for at, item in enumerate(whole["output"][1:], 1):
                    yield form.event("response.output_item.added", output_index=at, item=item)
                    yield form.event("response.output_item.done", output_index=at, item=item)
                yield form.event(f"response.{whole['status']}", response=whole)
