"""The protocol of a tool."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from ullage.engines.offered import Definition
from ullage.errors import UllageError

Arguments = Mapping[str, object]
"""What a call gives, as JSON has it."""


class ToolError(UllageError):
    """A call of a tool that came to nothing: why, in one line that the model may read too."""


class Tool(Protocol):
    """Something a model may call."""

    @property
    def definition(self) -> Definition:
        """What a model is told of it."""

    def call(self, arguments: Arguments) -> str:
        """What came of it, in words. Raises ToolError."""
