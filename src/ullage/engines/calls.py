"""Calls of tools, in what a model wrote or a server gave."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Never

LONGEST: Final = 65_536
"""Characters of the arguments of one call."""
_BLOCK: Final = re.compile(r"<tool_call>(.*?)(</tool_call>|(?=<tool_call>)|\Z)", re.DOTALL)
_FENCED: Final = re.compile(r"\s*```(?:json)?\s*(.*?)\s*```\s*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call as it is meant; `id` is the server's, or its place among the calls of a reply."""

    id: str
    name: str
    arguments: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class BadCall:
    """What was to be a call and is none: the name as far as it is known, and why."""

    id: str
    name: str
    problem: str


@dataclass(frozen=True, slots=True)
class Called:
    """A reply taken apart: its words without calls, and the calls in order."""

    words: str
    calls: tuple[ToolCall | BadCall, ...]


def calls_in(text: str) -> Called:
    """The calls that a model wrote as `<tool_call>{"name": ..., "arguments": {...}}</tool_call>`."""
    found = [
        _written(f"call_{number}", match[1], bool(match[2]))
        for number, match in enumerate(_BLOCK.finditer(text))
    ]
    return Called(_BLOCK.sub("", text).strip() if found else text, tuple(found))


def calls_of(tool_calls: Sequence[object]) -> tuple[ToolCall | BadCall, ...]:
    """The calls of a message of OpenAI's interface, as JSON has its `tool_calls`."""
    return tuple(_given(f"call_{number}", each) for number, each in enumerate(tool_calls))


def _written(id: str, body: str, closed: bool) -> ToolCall | BadCall:
    if not closed:
        return BadCall(id, "", "the call does not end with </tool_call>")
    fenced = _FENCED.fullmatch(body)
    value = _parsed(fenced[1] if fenced else body)
    if isinstance(value, str):
        return BadCall(id, "", f"the call is not JSON: {value}")
    return _called(id, value, "arguments" if "arguments" in value else "parameters")


def _given(id: str, call: object) -> ToolCall | BadCall:
    if not isinstance(call, Mapping):
        return BadCall(id, "", "the call is not an object")
    own = call.get("id")
    id = own if isinstance(own, str) and own else id
    function = call.get("function")
    if not isinstance(function, Mapping):
        return BadCall(id, "", "the call has no function")
    return _called(id, function, "arguments")


def _called(id: str, call: Mapping[str, object], field: str) -> ToolCall | BadCall:
    name, arguments = call.get("name"), call.get(field, {})
    if not isinstance(name, str) or not name:
        return BadCall(id, "", "the call has no name")
    if isinstance(arguments, str):
        parsed = _parsed(arguments or "{}")
        if isinstance(parsed, str):
            return BadCall(id, name, f"its arguments are not JSON: {parsed}")
        arguments = parsed
    if not isinstance(arguments, Mapping):
        return BadCall(id, name, "its arguments are not an object")
    return ToolCall(id, name, arguments)


def _parsed(text: str) -> Mapping[str, object] | str:
    """An object of JSON, or why it is none."""
    if len(text) > LONGEST:
        return f"it has more than {LONGEST:,} characters"
    try:
        value: object = json.loads(text, parse_constant=_no_number)
    except RecursionError:
        return "it is nested too deeply"
    except ValueError as error:
        return str(error)
    return value if isinstance(value, dict) else "it is not an object"


def _no_number(name: str) -> Never:
    raise ValueError(f"{name} is no number of JSON")
