"""A tool that looks into the memory of the user who is talked to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from ullage.engines.offered import Definition
from ullage.errors import UllageError
from ullage.kinds.assistant.memory.memory import Memory, Query
from ullage.kinds.assistant.memory.passage import passage_of
from ullage.kinds.assistant.tools.tool import Arguments, ToolError

NAME: Final = "retrieval"


class Retrieval:
    """Searches notes of one `user`, whom no argument can change; `fits` as in `passage_of`."""

    def __init__(
        self, memory: Memory, user: str, count: int = 5, fits: Callable[[str], bool] = lambda text: True
    ) -> None:
        self._memory, self._user, self._count, self._fits = memory, user, count, fits

    @property
    def definition(self) -> Definition:
        query = {"type": "string", "description": "what the notes should be about"}
        tags = {"type": "array", "items": {"type": "string"}, "description": "notes with these come first"}
        return Definition(
            NAME,
            "Looks for notes from earlier talks with this user.",
            {
                "type": "object",
                "properties": {"query": query, "tags": tags},
                "required": ["query"],
                "additionalProperties": False,
            },
        )

    def call(self, arguments: Arguments) -> str:
        query, tags = arguments.get("query"), arguments.get("tags", [])
        if not isinstance(query, str) or arguments.keys() - {"query", "tags"}:
            raise ToolError(f"{NAME} takes query, a text, and tags, a list of texts")
        if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
            raise ToolError(f"{NAME}: tags are a list of texts")
        try:
            found = self._memory.search(self._user, Query(query, tuple(tags), self._count))
        except UllageError as error:
            raise ToolError(f"{NAME}: {error}") from error
        passage = passage_of(found, self._fits)
        if found and not passage.used:
            raise ToolError(f"{NAME}: what was found is too long for this talk")
        return passage.text or "There are no notes."
