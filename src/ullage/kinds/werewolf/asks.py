"""What a game asks of a player, and what it takes for an answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from ullage.kinds.werewolf.events import View

Purpose = Literal[
    "identity",
    "night_talk",
    "kill",
    "see",
    "save",
    "heal",
    "poison",
    "bid",
    "thought",
    "statement",
    "callout",
    "question",
    "answer",
    "vote",
    "last_words",
    "shoot",
]
How = Literal["exact", "repaired", "fallback", "probability"]
SPOKEN: Final = ("statement", "question", "answer", "last_words")
"""What everybody hears, and what the detector is shown of."""
WRITTEN: Final = ("identity", "night_talk", "thought", *SPOKEN)
"""What is answered in free text."""
NOBODY: Final = "nobody"
YES, NO = "yes", "no"


@dataclass(frozen=True, slots=True)
class Ask:
    """The `number`th ask of a game, to the player who sees `view`.

    `legal` are the answers to choose from, None for free text. `about` is the seat it concerns: whom the
    witch may heal, who is to be asked, who asked. `refused` is the reply that could not be read, where it is
    asked again.
    """

    number: int
    purpose: Purpose
    legal: tuple[str, ...] | None
    view: View
    about: int | None = None
    refused: str | None = None

    @property
    def seat(self) -> int:
        """Whose turn it is."""
        return self.view.seat


@dataclass(frozen=True, slots=True)
class Answer:
    """What was taken for the answer, how it was come by, and every text the player gave for it.

    `score` is the probe's of the text, None where there is none; larger is more deceptive. Of free text the
    value begins at character `begin` of the last attempt; `cut`: the player wrote lines for others too, which
    nobody heard.
    """

    value: str
    how: How = "exact"
    attempts: tuple[str, ...] = ()
    score: float | None = None
    begin: int = 0
    cut: bool = False
