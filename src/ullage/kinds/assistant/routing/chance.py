"""A router without a model or a rule: chance, which is the same each time."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

from ullage.kinds.assistant.routing.route import Chosen


class ChanceRouter:
    """Chooses by a text and a seed alone, without regard to what the text says."""

    def __init__(self, names: Sequence[str], seed: int) -> None:
        self._names, self._seed = names, seed

    def choose(self, texts: Sequence[str]) -> list[Chosen]:
        """One of the names for each text."""
        return [Chosen(self._names[self._number(text) % len(self._names)]) for text in texts]

    def _number(self, text: str) -> int:
        return int.from_bytes(sha256(f"{self._seed} {text}".encode()).digest()[:8])
