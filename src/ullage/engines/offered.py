"""What a model is told of the tools it may call."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


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


def offered(tools: Sequence[Definition]) -> str:
    """What tools there are and how they are called, as a part of a system message; "" without any.

    The form is that of the templates of Hermes, Qwen and others, so that models trained with it know it.
    """
    if not tools:
        return ""
    lines = "\n".join(json.dumps(tool.to_json(), ensure_ascii=False) for tool in tools)
    return (
        "You may call these functions, whose parameters are JSON schemas:\n"
        f"<tools>\n{lines}\n</tools>\n"
        "To call one, write nothing but its name and arguments as JSON between these tags:\n"
        '<tool_call>\n{"name": "the name", "arguments": {"parameter": "value"}}\n</tool_call>'
    )
