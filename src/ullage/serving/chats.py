"""A chat as a role is asked it, and a reply as it is said back."""

from __future__ import annotations

import base64
import binascii
import json
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from ullage.engines.calls import ToolCall
from ullage.engines.engine import Ask, Message, Reply, Sampling
from ullage.engines.offered import Definition, offered
from ullage.engines.pictures import TooLargeError, picture_size
from ullage.engines.row import seed_of
from ullage.errors import InputError
from ullage.serving.answered import Finish, usage_of
from ullage.serving.asked import (
    AssistantMessage,
    ChatRequest,
    ImagePart,
    SystemMessage,
    Tool,
    ToolMessage,
    UserMessage,
)
from ullage.serving.choice import NO_CALLS, Choice
from ullage.serving.refusal import Refusal
from ullage.workloads.kind import Message as Turn

if TYPE_CHECKING:
    from ullage.engines.viewer import Question
    from ullage.workloads.kind import Told

LEAST: Final = -9999.0
"""What stands for a logarithm of nothing, which JSON has no number for; OpenAI's."""
STOPS: Final[dict[str, Finish]] = {"end": "stop", "stop": "stop", "length": "length"}


@dataclass(frozen=True, slots=True)
class SaidBack:
    """A message as it is sent, why it ended, its usage, and its tokens' `logprobs`, where asked for."""

    message: dict[str, Any]
    finish: Finish
    usage: dict[str, int]
    logprobs: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Wanted:
    """A chat as it is asked of a role: its prompt, and how the reply is drawn."""

    ask: Ask
    sampling: Sampling

    def drawn(self, at: int) -> Wanted:
        """The same of the answer at place `at` of several: the first is that of one alone."""
        seed = seed_of(self.ask.seed, at) if at else self.ask.seed
        return replace(self, ask=replace(self.ask, seed=seed))


def wanted(body: ChatRequest, choice: Choice, role: str, most: int) -> Wanted:
    """The chat in a body, for a role that is planned for replies of `most` tokens. Raises Refusal."""
    messages = _with_tools([*_messages(body.messages, role)], (body.tools or []) if choice.names else [])
    sampling = sampling_of(body, role, most)
    sampling = replace(sampling, stop=(*sampling.stop, *choice.stop))
    seed = secrets.randbits(31) if body.seed is None else body.seed % 2**31
    pieces = bool(body.stream) and not choice.names
    likeliest = body.top_logprobs or 0
    ask = Ask(tuple(messages), sampling.new_tokens, seed, pieces, choice.begins, likeliest)
    return Wanted(ask, sampling)


def sampling_of(body: ChatRequest, role: str, most: int) -> Sampling:
    """How a reply is drawn. Raises Refusal for more tokens than were planned."""
    param = "max_tokens" if body.max_completion_tokens is None else "max_completion_tokens"
    new = body.max_completion_tokens or body.max_tokens or most
    if new > most:
        said = f"{param}: {new:,} is more than the {most:,} that role {role} is planned for (new_tokens)"
        raise Refusal(400, said, "invalid_value", param=param)
    stops = body.stop or ()
    return Sampling(
        new,
        body.temperature or 0.0,
        1.0 if body.top_p is None else body.top_p,
        (stops,) if isinstance(stops, str) else tuple(stops),
    )


def question_of(body: ChatRequest, role: str) -> Question:
    """A question about a picture: one message of a user's, of texts and one picture. Raises Refusal."""
    from ullage.engines.viewer import Question

    said = body.messages[0]
    pictures = []
    if len(body.messages) == 1 and isinstance(said, UserMessage) and not isinstance(said.content, str):
        pictures = [part for part in said.content if isinstance(part, ImagePart)]
    if len(pictures) != 1 or body.tools:
        problem = (
            f"role {role} answers a question about one picture at a time: give one message of a user's with "
            "texts and one image_url, and no tools"
        )
        raise Refusal(400, problem, "invalid_value", param="messages")
    assert isinstance(said, UserMessage)
    assert not isinstance(said.content, str)
    texts = [part.text for part in said.content if not isinstance(part, ImagePart)]
    return Question("\n".join(texts), picture_in(pictures[0].image_url.url))


def turns_of(body: ChatRequest, name: str) -> list[Turn]:
    """A conversation as a whole workload is asked it; its pictures are those of the last message. Raises
    Refusal for what the file says of each of its roles."""
    told = ("tools", "temperature", "top_p", "stop", "seed", "max_tokens", "max_completion_tokens")
    given = next((param for param in told if getattr(body, param) is not None), None)
    if given is not None:
        said = f"{given}: {name} is several roles, and its file says this of each; leave it out"
        raise Refusal(400, said, "unsupported_parameter", param=given)
    if not isinstance(body.messages[-1], UserMessage):
        raise Refusal(400, "messages: the last one is not a user's", "invalid_value", param="messages")
    return [_turn(each, name, each is body.messages[-1]) for each in body.messages]


def _turn(said: object, name: str, last: bool) -> Turn:
    if isinstance(said, UserMessage) and last and not isinstance(said.content, str):
        pictures = [part for part in said.content if isinstance(part, ImagePart)]
        if len(pictures) > 1:
            raise Refusal(400, f"{name} looks at one picture", "invalid_value", param="messages")
        texts = [part.text for part in said.content if not isinstance(part, ImagePart)]
        data = picture_in(pictures[0].image_url.url) if pictures else b""
        return Turn("user", "\n".join(texts), data)
    if isinstance(said, UserMessage):
        return Turn("user", _text(said.content, name))
    if isinstance(said, AssistantMessage) and said.tool_calls is None:
        return Turn("assistant", _text(said.content or "", name))
    problem = f"messages: {name} is asked by users alone; its instructions and tools are its file's"
    raise Refusal(400, problem, "invalid_value", param="messages")


def told_back(told: Told) -> SaidBack:
    """What a whole workload answered, its picture in `images`."""
    message: dict[str, Any] = {"role": "assistant", "content": told.text, "refusal": None}
    if told.picture:
        url = f"data:image/png;base64,{base64.b64encode(told.picture).decode()}"
        message["images"] = [{"type": "image_url", "image_url": {"url": url}}]
    usage = usage_of(told.prompt_tokens, told.new_tokens)
    return SaidBack(message, "length" if told.cut else "stop", usage)


def picture_in(url: str) -> bytes:
    """The bytes of a picture in a data URL, once its header was read. Raises Refusal."""
    param = "messages"
    head, comma, data = url.partition(",")
    if not (comma and head.startswith("data:image/") and head.endswith(";base64")):
        said = "a picture's url is data:image/...;base64,...: nothing is fetched from anywhere"
        raise Refusal(400, said, "invalid_image_url", param=param)
    try:
        found = base64.b64decode(data, validate=True)
        picture_size(found)
    except (binascii.Error, ValueError):
        raise Refusal(400, "the picture is not base64", "invalid_base64", param=param) from None
    except TooLargeError as error:
        raise Refusal(413, str(error), "image_too_large", param=param) from None
    except InputError as error:
        raise Refusal(400, str(error), "invalid_image", param=param) from None
    return found


def said_back(reply: Reply, *, choice: Choice = NO_CALLS, logprobs: bool = False) -> SaidBack:
    """What a role replied, and its calls as far as `choice` has it look for some. Raises Refusal for a reply
    that was to be a call and is none."""
    usage = usage_of(reply.prompt_tokens, len(reply.tokens) or len(reply.pieces))
    weighed = _logprobs(reply) if logprobs else None
    called = choice.called(reply)
    calls = [call for call in called.calls if isinstance(call, ToolCall)] if called is not None else []
    message: dict[str, Any] = {"role": "assistant", "content": reply.text, "refusal": None}
    if called is None or not calls:
        return SaidBack(message, STOPS[reply.stop], usage, weighed)
    message["content"] = called.words or None
    message["tool_calls"] = [
        {
            "id": f"call_{secrets.token_hex(8)}",
            "type": "function",
            "function": {
                "name": call.name.encode("utf-8", "replace").decode(),
                "arguments": json.dumps(dict(call.arguments)),
            },
        }
        for call in calls
    ]
    # One that was cut off may have been about to call more.
    return SaidBack(message, "length" if reply.stop == "length" else "tool_calls", usage, weighed)


def _logprobs(reply: Reply) -> dict[str, Any]:
    """Of each token that was written; their texts make up the reply's."""
    content = []
    for at, ((begin, end), logprob) in enumerate(zip(reply.offsets, reply.logprobs, strict=False)):
        others = [_likely(*each) for each in reply.likeliest[at]] if reply.likeliest else []
        content.append({**_likely(reply.text[begin:end], logprob), "top_logprobs": others})
    return {"content": content, "refusal": None}  # the ending's is left


def _likely(text: str, logprob: float) -> dict[str, Any]:
    return {"token": text, "logprob": max(logprob, LEAST), "bytes": [*text.encode("utf-8", "replace")]}


def _messages(said: Sequence[object], role: str) -> Iterator[Message]:
    """As engines read them: calls and what they gave stand in the form that models of tools write."""
    names: dict[str, str] = {}
    for each in said:
        if isinstance(each, SystemMessage):
            yield {"role": "system", "content": _text(each.content, role)}
        elif isinstance(each, UserMessage):
            yield {"role": "user", "content": _text(each.content, role)}
        elif isinstance(each, AssistantMessage):
            calls = each.tool_calls or []
            names |= {call.id: call.function.name for call in calls}
            parts = [_text(each.content or "", role)]
            parts += [_called(call.function.name, call.function.arguments) for call in calls]
            yield {"role": "assistant", "content": "\n".join(filter(None, parts))}
        elif isinstance(each, ToolMessage):
            given = {"name": names.get(each.tool_call_id, ""), "content": _text(each.content, role)}
            text = json.dumps(given, ensure_ascii=False)
            yield {"role": "user", "content": f"<tool_response>\n{text}\n</tool_response>"}


def _called(name: str, arguments: str) -> str:
    try:
        given = json.loads(arguments or "{}")
        json.dumps(given, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError):
        said = f"the arguments of the call of {name!r} are no JSON"
        raise Refusal(400, said, "invalid_value", param="messages") from None
    text = json.dumps({"name": name, "arguments": given}, ensure_ascii=False)
    return f"<tool_call>\n{text}\n</tool_call>"


def _text(content: str | Sequence[object], role: str) -> str:
    if isinstance(content, str):
        return content
    if any(isinstance(part, ImagePart) for part in content):
        said = f"role {role} reads no pictures; /v1/models tells which do"
        raise Refusal(400, said, "invalid_value", param="messages")
    return "\n".join(getattr(part, "text", "") for part in content)


def _with_tools(messages: list[Message], tools: Sequence[Tool]) -> list[Message]:
    """The messages, the first of them a system's that tells of the tools."""
    told = offered(
        [
            Definition(
                tool.function.name,
                tool.function.description or "",
                tool.function.parameters or {"type": "object", "properties": {}},
            )
            for tool in tools
        ]
    )
    if not told:
        return messages
    if messages and messages[0]["role"] == "system":
        return [{"role": "system", "content": f"{messages[0]['content']}\n\n{told}"}, *messages[1:]]
    return [{"role": "system", "content": told}, *messages]
