"""What happens in a game, who sees it, and what a player knows of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Stage = Literal["night", "talk", "vote"]
What = Literal[
    "pack",  # the werewolves learn of each other
    "night_talk",
    "kill",  # a werewolf's choice
    "victim",  # whom they agreed on
    "seen",  # what the seer learns: `word`
    "saved",  # whom the doctor protects
    "attacked",  # whom the witch could heal
    "healed",
    "poisoned",
    "dawn",  # nobody died
    "dies",  # in the night; `word` the identity, if revealed
    "thought",
    "bid",
    "said",
    "question",  # to `target`
    "answer",
    "last_words",
    "score",  # what the detector shows of a statement of `target`
    "ballot",
    "tally",
    "exiled",
    "spared",  # a ballot exiles nobody
    "second_ballot",
    "shot",
]


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened, at a time. `seen_by` are the seats that know of it; None: everybody."""

    what: What
    day: int
    stage: Stage
    round: int
    actor: int | None = None
    target: int | None = None
    word: str = ""
    seen_by: frozenset[int] | None = None

    @property
    def moment(self) -> tuple[int, Stage, int]:
        """The round it is part of: what is left out of a prompt is left out by these."""
        return self.day, self.stage, self.round


@dataclass(frozen=True, slots=True)
class View:
    """All that a player knows: its own seat and identity, who lives, and the events it saw."""

    seat: int
    identity: str
    names: tuple[str, ...]
    living: tuple[int, ...]
    day: int
    stage: Stage
    round: int
    events: tuple[Event, ...]

    @property
    def name(self) -> str:
        """The player's own."""
        return self.names[self.seat]

    @property
    def public(self) -> tuple[Event, ...]:
        """What everybody saw: without all that its identity alone let the player know, or think."""
        return tuple(event for event in self.events if event.seen_by is None)
