"""The protocol of a tool, and what a model is told of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from ullage.errors import UllageError

Arguments = Mapping[str, object]
"""What a call gives, as JSON has it."""


class ToolError(UllageError):
    """A call of a tool that came to nothing: why, in one line that the model may read too."""


@dataclass(frozen=True, slots=True)
class Definition:
    """What a tool is for; `parameters` is the JSON schema of its arguments, an object's."""

    name: str
    description: str
    parameters: Mapping[str, object]

    def to_json(self) -> dict[str, object]:
        """As `tools` of OpenAI's interface takes it."""
        function = {"name": self.name, "description": self.description, "parameters": dict(self.parameters)}
        return {"type": "function", "function": function}


class Tool(Protocol):
    """Something a model may call."""

    @property
    def definition(self) -> Definition:
        """What a model is told of it."""

    def call(self, arguments: Arguments) -> str:
        """What came of it, in words. Raises ToolError."""


def offered(tools: Sequence[Tool]) -> str:
    """What tools there are and how they are called, as a part of a system message; "" without any.

    The form is that of the templates of Hermes, Qwen and others, so that models trained with it know it.
    """
    if not tools:
        return ""
    lines = "\n".join(json.dumps(tool.definition.to_json(), ensure_ascii=False) for tool in tools)
    return (
        "You may call these functions, whose parameters are JSON schemas:\n"
        f"<tools>\n{lines}\n</tools>\n"
        "To call one, write nothing but its name and arguments as JSON between these tags:\n"
        '<tool_call>\n{"name": "the name", "arguments": {"parameter": "value"}}\n</tool_call>'
    )
