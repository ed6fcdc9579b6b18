"""A server's answer as a value: every field of it is looked at before anything is made of it."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from ullage.engines.engine import StopReason
from ullage.engines.words import words_of

Scope = Literal["one", "at first", "all"]
"""What an unusable answer says of other prompts: nothing; that none will get one, if none ever did; that none
will."""
STOPS: Final[Mapping[str, StopReason]] = {
    "stop": "end",
    "eos": "end",
    "eos_token": "end",
    "stop_sequence": "end",
    "end_turn": "end",
    "length": "length",
    "max_tokens": "length",
}
"""What servers call the end of a reply that can be used; any other is a reason why it cannot."""
PASSING: Final = frozenset({408, 409, 425, 429, *range(500, 600)})
"""Status codes of what may be over when it is asked again."""
MOST_TOKENS: Final = 2**40
"""A count above that is no count of tokens."""
ROUNDING: Final = 1e-3
"""How far above zero a log-probability may be by the server's rounding."""


class UnusableError(Exception):
    """One prompt got no usable answer; `again` says that the next try may."""

    def __init__(self, reason: str, *, again: bool = False, scope: Scope = "one") -> None:
        super().__init__(reason)
        self.again, self.scope = again, scope


@dataclass(frozen=True, slots=True)
class Weighed:
    """A token of a reply, its natural log-probability, and those of the likeliest in its place."""

    token: str
    logprob: float
    likeliest: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Completion:
    """What a server gave for one prompt. `refused` says why `text` is no reply to it, "" where it is one;
    `tokens` are none where the server gives no log-probabilities, or not those of every token."""

    text: str
    stop: StopReason
    tokens: tuple[Weighed, ...] = ()
    prompt_tokens: int = 0
    new_tokens: int = 0
    refused: str = ""


def read_completion(body: bytes) -> Completion:
    """Raises UnusableError for a body that is no completion, or one that tells of an error."""
    try:
        answer: object = json.loads(body)
    except UnicodeDecodeError as error:
        raise UnusableError("the server's answer is not a completion: it is not UTF-8", again=True) from error
    except (ValueError, RecursionError) as error:
        shown = " ".join(body[:60].decode("utf-8", "replace").split())
        raise UnusableError(f"the server's answer is not a completion: {shown!r}", again=True) from error
    if not isinstance(answer, Mapping):
        raise UnusableError("the server's answer is not a completion: not an object", again=True)
    _refuse_error(answer)
    choices = answer.get("choices")
    choice = _first(choices) if isinstance(choices, list) and choices else None
    if not isinstance(choice, Mapping):
        said = words_of({name: answer.get(name) for name in ("message", "detail", "msg")})
        raise UnusableError(
            f"the server's answer is not a completion: no choices{said and f': {said}'}", again=True
        )
    _refuse_error(choice)
    return _completion(choice, _object(choice.get("message")), _object(answer.get("usage")))


def _first(choices: Sequence[object]) -> object:
    """One was asked for; of several it is that with the index 0, wherever it stands."""
    return next((each for each in choices if _object(each).get("index") == 0), choices[0])


def _refuse_error(answer: Mapping[str, object]) -> None:
    """Some servers say what went wrong under a status that says nothing did."""
    error = answer if answer.get("object") == "error" else answer.get("error")
    if not error:
        return
    code = _object(error).get("code")
    passing = isinstance(code, int) and code in PASSING
    raise UnusableError(f"the server's answer is an error: {words_of(error) or 'unsaid'}", again=passing)


def _completion(
    choice: Mapping[str, object], message: Mapping[str, object], usage: Mapping[str, object]
) -> Completion:
    finish, text = choice.get("finish_reason"), _text(message.get("content"))
    refused = words_of(message.get("refusal"))
    if refused:
        refused = f"the model refuses: {refused}"
    elif finish is not None and not (isinstance(finish, str) and finish in STOPS):
        filtered = "filter" in str(finish).casefold()
        refused = f"{'filtered' if filtered else 'not finished'} (finish_reason {words_of(finish) or '?'})"
    stop: StopReason = STOPS.get(finish, "end") if isinstance(finish, str) else "end"
    return Completion(
        text,
        stop,
        _weighed(_object(choice.get("logprobs")).get("content")),
        _count(usage.get("prompt_tokens")),
        _count(usage.get("completion_tokens")),
        refused,
    )


def _object(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}


def _text(content: object) -> str:
    """A message's text, which some servers give in parts; halves of characters are replaced."""
    if isinstance(content, list):
        parts = [_object(each) for each in content]
        content = "".join(_text(each.get("text")) for each in parts if each.get("type", "text") == "text")
    if not isinstance(content, str):
        return ""
    return content.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def covers(tokens: Sequence[Weighed], text: str) -> bool:
    """Whether tokens are all of `text`, white space apart. Where a token is a piece of a character, which
    servers write in many ways, that cannot be told, and is believed."""
    pieces = [one.token for one in tokens]
    if any(not piece or "\ufffd" in piece or piece.startswith("bytes:") for piece in pieces):
        return True
    return len("".join("".join(pieces).split())) >= len("".join(text.split()))


def _count(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        return 0
    return value if 0 < value < MOST_TOKENS else 0


def _weighed(content: object) -> tuple[Weighed, ...]:
    """Every token with its log-probability, or nothing: a sum over some of them would be another's."""
    found = []
    for each in content if isinstance(content, list) else ():
        token, logprob = _object(each).get("token"), _logprob(_object(each).get("logprob"))
        if not isinstance(token, str) or logprob is None:
            return ()
        found.append(Weighed(_text(token), logprob, _likeliest(_object(each).get("top_logprobs"))))
    return tuple(found)


def _likeliest(alternatives: object) -> tuple[tuple[str, float], ...]:
    found = []
    for each in alternatives if isinstance(alternatives, list) else ():
        token, logprob = _object(each).get("token"), _logprob(_object(each).get("logprob"))
        if isinstance(token, str) and logprob is not None:
            found.append((_text(token), logprob))
    return tuple(found)


def _logprob(value: object) -> float | None:
    """None for what is no logarithm of a probability."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not -sys.maxsize <= value <= ROUNDING:
        return None  # NaN is neither above nor below
    return min(float(value), 0.0)
