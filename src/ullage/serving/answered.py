"""What is said back, in OpenAI's form."""

# Annotations are not postponed here: FastAPI and pydantic read them.

from typing import Any, Literal

from pydantic import BaseModel


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


class Choice(BaseModel):
    index: Literal[0]
    message: Said
    logprobs: None = None
    finish_reason: Finish


class Completion(BaseModel):
    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[Choice]
    usage: Usage


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


def completion(
    id_: str, created: int, model: str, message: dict[str, Any], finish: Finish, usage: dict[str, int]
) -> dict[str, Any]:
    """A whole answer."""
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish}
    return {
        "id": id_,
        "object": "chat.completion",
        "created": created,
        "model": model,
        "choices": [choice],
        "usage": usage,
    }


def chunk(
    id_: str, created: int, model: str, delta: dict[str, Any], finish: Finish | None = None
) -> dict[str, Any]:
    """A part of an answer that is streamed."""
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    return {
        "id": id_,
        "object": "chat.completion.chunk",
        "created": created,
        "model": model,
        "choices": [choice],
    }


def usage_of(prompt_tokens: int, new_tokens: int) -> dict[str, int]:
    """Tokens that were read and written."""
    total = prompt_tokens + new_tokens
    return {"prompt_tokens": prompt_tokens, "completion_tokens": new_tokens, "total_tokens": total}
