"""What is said back, in OpenAI's form."""

# Annotations are not postponed here: FastAPI and pydantic read them.

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field


class Usage(BaseModel):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class FunctionCall(BaseModel):
    name: str
    arguments: str


class ToolCall(BaseModel):
    id: str
    type: Literal["function"]
    function: FunctionCall


class PictureUrl(BaseModel):
    url: str


class SaidPicture(BaseModel):
    type: Literal["image_url"]
    image_url: PictureUrl


class Said(BaseModel):
    role: Literal["assistant"]
    content: str | None
    refusal: None = None
    tool_calls: list[ToolCall] | None = None
    images: list[SaidPicture] | None = None


Finish = Literal["stop", "length", "tool_calls"]


class Likely(BaseModel):
    """A token's text, its UTF-8 bytes, and the natural logarithm of its probability. Of a character of
    several tokens the last one has it, and the others have no text."""

    token: str
    logprob: float
    bytes: list[int]


class Weighed(Likely):
    """One that was taken, and the likeliest in its place."""

    top_logprobs: list[Likely]


class Logprobs(BaseModel):
    content: list[Weighed]
    refusal: None = None


class Choice(BaseModel):
    index: Annotated[int, Field(ge=0)]
    message: Said
    logprobs: Logprobs | None = None
    finish_reason: Finish


class Completion(BaseModel):
    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[Choice]
    usage: Usage


class SaidText(BaseModel):
    type: Literal["output_text"]
    text: str
    annotations: list[None]
    logprobs: list[None]


class SaidMessage(BaseModel):
    id: str
    type: Literal["message"]
    role: Literal["assistant"]
    status: Literal["completed", "incomplete"]
    content: list[SaidText]


class Painted(BaseModel):
    id: str
    type: Literal["image_generation_call"]
    status: Literal["completed"]
    result: str


class Cached(BaseModel):
    cached_tokens: Literal[0]
    cache_write_tokens: Literal[0]


class Reasoned(BaseModel):
    reasoning_tokens: Literal[0]


class ResponseUsage(BaseModel):
    input_tokens: int
    input_tokens_details: Cached
    output_tokens: int
    output_tokens_details: Reasoned
    total_tokens: int


class Incomplete(BaseModel):
    reason: Literal["max_output_tokens"]


class Responded(BaseModel):
    """A response; fields of what was asked stand beside these."""

    id: str
    object: Literal["response"]
    created_at: int
    status: Literal["completed", "incomplete"]
    error: None
    incomplete_details: Incomplete | None
    model: str
    output: list[SaidMessage | Painted]
    usage: ResponseUsage


class Held(BaseModel):
    """Where a role is, which OpenAI's protocol has no word for."""

    model: str
    where: Literal["device", "host", "disk", "moving", "elsewhere", "roles"]
    bytes: dict[str, int]
    lent: int
    does: list[str]


class ModelCard(BaseModel):
    id: str
    object: Literal["model"]
    created: int
    owned_by: str
    ullage: Held


class ModelList(BaseModel):
    object: Literal["list"]
    data: list[ModelCard]


class Embedding(BaseModel):
    object: Literal["embedding"]
    index: int
    embedding: list[float] | str


class EmbeddingUsage(BaseModel):
    prompt_tokens: int
    total_tokens: int


class Embeddings(BaseModel):
    object: Literal["list"]
    data: list[Embedding]
    model: str
    usage: EmbeddingUsage


class Picture(BaseModel):
    b64_json: str


class Pictures(BaseModel):
    created: int
    data: list[Picture]


class Health(BaseModel):
    status: Literal["ok", "closing"]
    waiting: int
    answering: int
    roles: dict[str, str]


class Problem(BaseModel):
    message: str
    type: str
    param: str | None
    code: str | None


class Refused(BaseModel):
    error: Problem


@dataclass(frozen=True, slots=True)
class Head:
    """What an answer to a chat begins with, and each part of one that is streamed. `counts`: the last part
    has its usage, and the others say that they have none."""

    id: str
    created: int
    model: str
    counts: bool = False

    def whole(self, choices: list[dict[str, Any]], usage: dict[str, int]) -> dict[str, Any]:
        """An answer."""
        return {**self._of("chat.completion", choices), "usage": usage}

    def part(
        self,
        at: int,
        delta: dict[str, Any],
        finish: Finish | None = None,
        logprobs: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """A part of the choice at place `at`, its last one with why it ends."""
        choice = {"index": at, "delta": delta, "logprobs": logprobs, "finish_reason": finish}
        none = {"usage": None} if self.counts else {}
        return {**self._of("chat.completion.chunk", [choice]), **none}

    def used(self, usage: dict[str, int]) -> dict[str, Any]:
        """What comes after the last part where it `counts`."""
        return {**self._of("chat.completion.chunk", []), "usage": usage}

    def _of(self, what: str, choices: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "id": self.id,
            "object": what,
            "created": self.created,
            "model": self.model,
            "choices": choices,
        }


def new_head(model: str, counts: bool = False) -> Head:
    """Of an answer that begins now."""
    return Head(f"chatcmpl-{secrets.token_hex(12)}", int(time.time()), model, counts)


def usage_of(prompt_tokens: int, new_tokens: int) -> dict[str, int]:
    """Tokens that were read and written."""
    total = prompt_tokens + new_tokens
    return {"prompt_tokens": prompt_tokens, "completion_tokens": new_tokens, "total_tokens": total}


def usage_together(usages: Sequence[dict[str, int]]) -> dict[str, int]:
    """Of several answers to one prompt, which is read once."""
    return usage_of(usages[0]["prompt_tokens"], sum(each["completion_tokens"] for each in usages))
