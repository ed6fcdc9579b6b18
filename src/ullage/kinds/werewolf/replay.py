"""A game as it is told again: night by night and day by day, each statement token by token."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from ullage.kinds.werewolf.events import Event
from ullage.kinds.werewolf.rows import GameRow, TurnRow
from ullage.kinds.werewolf.scores import Scores
from ullage.kinds.werewolf.wording import event_text

_ASKED: Final = {
    "said": "statement",
    "question": "question",
    "answer": "answer",
    "last_words": "last_words",
    "thought": "thought",
    "night_talk": "night_talk",
}
"""The purpose of the ask that each event of these is the answer to."""


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of a statement, its score, and how dark it is shown, from 0 to 1; None: nothing listened."""

    text: str
    score: float | None
    weight: float


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that happened. What was said is in tokens, with its truth where it has one; all else is one
    text. `private`: not everybody saw it."""

    heading: str
    speaker: str
    tokens: tuple[Token, ...]
    truth: str
    private: bool
    note: str


@dataclass(frozen=True, slots=True)
class Scale:
    """What is shown white and what darkest: the 5th and the 95th of a hundred scores."""

    low: float
    high: float

    def weight(self, score: float) -> float:
        """From 0 to 1."""
        return (
            min(max((score - self.low) / (self.high - self.low), 0.0), 1.0) if self.high > self.low else 0.0
        )


def scale_of(turns: Iterable[TurnRow], probe: str) -> Scale:
    """Of all token scores of a probe."""
    values = sorted(value for turn in turns if probe in turn.scores for value in turn.scores[probe].values)
    if not values:
        return Scale(0.0, 0.0)
    return Scale(values[len(values) * 5 // 100], values[min(len(values) * 95 // 100, len(values) - 1)])


def replay(game: GameRow, turns: Sequence[TurnRow], probe: str | None, scale: Scale) -> Iterator[Line]:
    """Every event of a game, in order; `turns` are its own."""
    asked: dict[str, deque[TurnRow]] = {}
    for turn in sorted(turns, key=lambda turn: turn.number):
        asked.setdefault(turn.purpose, deque()).append(turn)
    heading = ""
    for event in game.events:
        now = f"{'Night' if event.stage == 'night' else 'Day'} {event.day}"
        shown = now if now != heading else ""
        heading = now
        purpose = _ASKED.get(event.what)
        if purpose is not None and asked.get(purpose):
            yield _said(event, asked[purpose].popleft(), game, shown, probe, scale)
        else:
            text = event_text(event, game.names) if event.what != "pack" else _pack(event, game)
            whose = game.names[event.actor] if event.seen_by is not None and event.actor is not None else ""
            yield Line(shown, whose, (Token(text, None, 0.0),), "", event.seen_by is not None, "")


def _pack(event: Event, game: GameRow) -> str:
    return "" if event.target is None else f"{game.names[event.target]} learns who the werewolves are."


def _said(event: Event, turn: TurnRow, game: GameRow, heading: str, probe: str | None, scale: Scale) -> Line:
    scores = turn.scores.get(probe) if probe is not None else None
    to = f" to {game.names[event.target]}" if event.target is not None else ""
    kind = {"thought": " (thinking)", "last_words": " (last words)", "night_talk": " (to the werewolves)"}
    note = "" if scores is None or not scores.reason else f"no score: {scores.reason}"
    return Line(
        heading,
        f"{turn.player}{to}{kind.get(event.what, '')}",
        tuple(tokens_of(turn, scores, scale)) or (Token("(says nothing)", None, 0.0),),
        turn.truth or "",
        event.seen_by is not None,
        note,
    )


def tokens_of(turn: TurnRow, scores: Scores | None, scale: Scale) -> Iterator[Token]:
    """What was said, cut where tokens begin; all of it together is the value of the turn."""
    if scores is None or not scores.values:
        if turn.value:
            yield Token(turn.value, None, 0.0)
        return
    at = 0
    for value, (first, last) in zip(scores.values, scores.offsets, strict=True):
        begin, end = max(first - turn.begin, at), min(last - turn.begin, len(turn.value))
        if end <= begin:
            continue
        if begin > at:
            yield Token(turn.value[at:begin], None, 0.0)
        yield Token(turn.value[begin:end], value, scale.weight(value))
        at = end
    if at < len(turn.value):
        yield Token(turn.value[at:], None, 0.0)
