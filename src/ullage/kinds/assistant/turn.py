"""One request on its way through an assistant, and what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, get_args

from ullage.engines.engine import Message, Reply
from ullage.kinds.assistant.requests import Request
from ullage.kinds.assistant.routing import Route
from ullage.kinds.assistant.tools.exchange import Answered

Stage = Literal["route", "remember", "switch", "specialist", "voice"]
STAGES: Final[tuple[str, ...]] = get_args(Stage)
"""A request's way, in its order; `switch` is until its specialist was there."""


@dataclass(frozen=True, slots=True)
class Said:
    """An earlier turn of the same talk: what the user said, and what the assistant answered."""

    text: str
    answer: str


@dataclass(slots=True)
class Turn:
    """A request and what is known of it so far. `answer` is the specialist's, `voice` what the user gets.

    `development` says that no model is asked: a script is. `problems` say what went wrong on the way and was
    gone around; a `failed` one has no answer, and why. `seconds` are those of each stage it was in, together
    with all who were in it; `read` and `written` the tokens of its prompts and of the replies.
    """

    request: Request
    before: Sequence[Said]
    development: bool = False
    route: Route | None = None
    specialist: str = ""
    passage: str = ""
    notes: tuple[str, ...] = ()
    left_out: int = 0
    messages: list[Message] = field(default_factory=list)
    tools: list[Answered] = field(default_factory=list)
    answer: str = ""
    stop: str = ""
    picture: bytes = b""
    painted: dict[str, object] = field(default_factory=dict)
    voice: str = ""
    problems: list[str] = field(default_factory=list)
    failed: str = ""
    seconds: dict[Stage, float] = field(default_factory=dict)
    read: int = 0
    written: int = 0

    def replied(self, reply: Reply) -> None:
        """A role wrote this for it."""
        self.read += reply.prompt_tokens
        self.written += len(reply.tokens)

    def took(self, stage: Stage, seconds: float) -> None:
        """It was in a stage for so long, once more perhaps."""
        self.seconds[stage] = self.seconds.get(stage, 0.0) + seconds

    @property
    def told(self) -> str:
        """What the user gets in words."""
        return self.voice or self.answer
