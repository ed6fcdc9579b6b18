"""The calls of one request: each is made, or told why not, and written down."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ullage.engines.calls import BadCall, ToolCall
from ullage.engines.engine import Message
from ullage.kinds.assistant.memory.passage import quoted
from ullage.kinds.assistant.tools.tool import Tool, ToolError


@dataclass(frozen=True, slots=True)
class Answered:
    """What came of a call: `text` for the model, of a `failed` one why it came to nothing."""

    id: str
    name: str
    arguments: Mapping[str, object]
    text: str
    failed: bool


class Exchange:
    """Calls of tools while one request is answered, `most` of them together.

    Invariant: while it is `open` the model may be asked again. It is told of a mistake once; where it makes
    the same one again, or has made all its calls, it is asked no more for calls. `answered` is all that came
    of them.
    """

    def __init__(self, tools: Sequence[Tool], most: int = 8) -> None:
        self._tools = {tool.definition.name: tool for tool in tools}
        self._most = most
        self._told: set[tuple[str, str]] = set()
        self.answered: list[Answered] = []
        self.open = True

    def answer(self, calls: Sequence[ToolCall | BadCall]) -> list[Answered]:
        """Makes these calls, one after another."""
        found = []
        for call in calls:
            made = self._answer(call)
            self.answered.append(made)
            found.append(made)
        self.open = self.open and len(self.answered) < self._most
        return found

    def _answer(self, call: ToolCall | BadCall) -> Answered:
        if len(self.answered) >= self._most:
            return self._refused(call, f"not made: a request has {self._most} calls", {})
        if isinstance(call, BadCall):
            return self._refused(call, call.problem, {})
        tool = self._tools.get(call.name)
        if tool is None:
            known = ", ".join(self._tools) or "none"
            return self._refused(call, f"there is no tool of that name; there are: {known}", call.arguments)
        try:
            return Answered(call.id, call.name, call.arguments, tool.call(call.arguments), False)
        except ToolError as error:
            return self._refused(call, str(error), call.arguments)

    def _refused(self, call: ToolCall | BadCall, problem: str, arguments: Mapping[str, object]) -> Answered:
        mistake = (call.name, problem)
        self.open = self.open and mistake not in self._told
        self._told.add(mistake)
        return Answered(call.id, call.name, arguments, problem, True)


def as_message(answered: Sequence[Answered]) -> Message:
    """What came of calls that were written as text, as the message that the model reads next."""
    lines = [
        f'<tool_response>\n{{"name": {quoted(one.name)}, "{"error" if one.failed else "content"}": '
        f"{quoted(one.text)}}}\n</tool_response>"
        for one in answered
    ]
    return {"role": "user", "content": "\n".join(lines)}


def as_tool_messages(answered: Sequence[Answered]) -> list[dict[str, str]]:
    """What came of a server's `tool_calls`, as the messages it is sent next."""
    return [
        {
            "role": "tool",
            "tool_call_id": one.id,
            "content": f"failed: {one.text}" if one.failed else one.text,
        }
        for one in answered
    ]
