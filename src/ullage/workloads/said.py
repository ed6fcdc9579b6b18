"""What is said in a talk: tokens with their scores, and whole replies."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from ullage.engines.engine import Piece, Reply, StopReason
from ullage.probes.replies import ReplyScores, Spoken

if TYPE_CHECKING:
    from ullage.engines.heard import Heard
    from ullage.probes.card import Card


@dataclass(frozen=True, slots=True)
class Token:
    """One token of a reply, its text, and of each probe its score; None where the state was no number."""

    id: int
    text: str
    scores: Mapping[str, float | None]


@dataclass(frozen=True, slots=True)
class Said:
    """A reply, whole or as far as it came: `stop` is "stopped" where its reader left it.

    `left_out` are the earlier turns, a question and its reply each, that the model does not read any more.
    """

    text: str
    stop: StopReason | Literal["stopped"]
    prompt_tokens: int
    tokens: tuple[Token, ...]
    probes: Mapping[str, ReplyScores]
    left_out: int


@dataclass(frozen=True, slots=True)
class ProbeScores:
    """One probe's scores of each token and of the reply, beside the threshold of its card."""

    tokens: tuple[float | None, ...]
    score: float | None
    threshold: float | None
    above: bool | None


@dataclass(frozen=True, slots=True)
class ReplyDocument:
    """A reply with its tokens and their `pieces` of the text; `left_out` earlier turns were not read."""

    text: str
    stop: StopReason | Literal["stopped"]
    prompt_tokens: int
    tokens: tuple[int, ...]
    pieces: tuple[str, ...]
    probes: Mapping[str, ProbeScores]
    left_out: int


class Talking(Protocol):
    """Whoever can be talked to."""

    cards: Mapping[str, Card]
    last: Said | None

    def say(self, text: str) -> Generator[Token | Said, None, None]:
        """The tokens of the reply as they come, then all of it, which is `last` from then on."""

    def reset(self) -> None:
        """Forgets what was said."""


def scored(
    coming: Iterable[Piece | Reply], heard: Heard | None, spoken: Spoken | None
) -> Iterator[Token | Reply]:
    """Pieces of a reply with the scores of probes, each as soon as it has been read; then the reply."""
    waiting: list[Piece] = []
    given = 0
    for each in coming:
        if heard is not None and spoken is not None:
            spoken.add(heard.taken())
        if isinstance(each, Piece):
            waiting.append(each)
        ended = isinstance(each, Reply)
        while waiting and (spoken is None or given < spoken.count or ended):
            piece = waiting.pop(0)
            found = {} if spoken is None else {name: mine[given] for name, mine in spoken.scores.items()}
            yield Token(piece.token, piece.text, found)
            given += 1
        if isinstance(each, Reply):
            yield each
