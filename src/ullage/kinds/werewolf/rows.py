"""What is recorded of a game: a row of every ask, and one of the game itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Final, TypeVar, get_args

from ullage.errors import FormatError
from ullage.fields import Fields
from ullage.kinds.werewolf.asks import SPOKEN, Answer, Ask
from ullage.kinds.werewolf.events import Event, Stage, What
from ullage.kinds.werewolf.playing import Playing
from ullage.kinds.werewolf.prompts import Prompt
from ullage.kinds.werewolf.scores import Scores, read_scores
from ullage.kinds.werewolf.table import Table
from ullage.kinds.werewolf.truth import Decided, decide
from ullage.records.lines import read_lines

Known = TypeVar("Known")
TURNS: Final = "turns"
GAMES: Final = "games"
"""The files of a run, as JSON lines."""


@dataclass(frozen=True, slots=True)
class ClaimRow:
    """A claim that the game decided, at characters `begin` to `end` of what was said."""

    begin: int
    end: int
    about: str
    truth: str
    fact: bool


@dataclass(frozen=True, slots=True)
class TurnRow:
    """One ask. `prompt` is the messages, each a role and its text, without the `left_out` earliest rounds.
    `scores` are by probe, of the last attempt; `stripped` of the same text after a prompt without roles.
    `score` is what a detector that is shown was told. `truth` is of what all hear, None of anything else.
    """

    game: int
    condition: str
    seed: int
    number: int
    day: int
    stage: str
    round: int
    player: str
    identity: str
    role: str
    purpose: str
    legal: tuple[str, ...] | None
    prompt: tuple[tuple[str, str], ...]
    left_out: int
    attempts: tuple[str, ...]
    value: str
    how: str
    begin: int
    cut: bool
    score: float | None
    truth: str | None
    claims: tuple[ClaimRow, ...] = ()
    scores: Mapping[str, Scores] = field(default_factory=dict)
    stripped: Mapping[str, Scores] = field(default_factory=dict)

    def written(self) -> dict[str, object]:
        """As a line of JSON."""
        row = {each.name: getattr(self, each.name) for each in fields(self)}
        row["claims"] = [{each.name: getattr(one, each.name) for each in fields(one)} for one in self.claims]
        for name in ("scores", "stripped"):
            row[name] = {probe: found.written() for probe, found in row[name].items()}
        return row


@dataclass(frozen=True, slots=True)
class GameRow:
    """One finished game: its seats, every event and who won."""

    game: int
    condition: str
    seed: int
    rules: Mapping[str, object]
    names: tuple[str, ...]
    identities: tuple[str, ...]
    winner: str
    why: str
    days: int
    by_night: bool
    events: tuple[Event, ...]

    def written(self) -> dict[str, object]:
        """As a line of JSON."""
        row = {each.name: getattr(self, each.name) for each in fields(self)}
        return {**row, "events": [dict(_event(event)) for event in self.events]}


@dataclass(frozen=True, slots=True)
class Heard:
    """What a runner knows of an ask beside the game: its prompt, the role asked, and what probes heard."""

    prompt: Prompt
    left_out: int
    role: str
    scores: Mapping[str, Scores] = field(default_factory=dict)
    stripped: Mapping[str, Scores] = field(default_factory=dict)


def turn_row(game: int, table: Table, ask: Ask, answer: Answer, heard: Heard) -> TurnRow:
    """The row of an ask that was answered."""
    truth: str | None = None
    claims: tuple[Decided, ...] = ()
    if ask.purpose in SPOKEN:
        truth, claims = decide(answer.value, ask.view, table.identities, table.rules)
    view = ask.view
    return TurnRow(
        game=game,
        condition=table.condition.name,
        seed=table.seed,
        number=ask.number,
        day=view.day,
        stage=view.stage,
        round=view.round,
        player=view.name,
        identity=view.identity,
        role=heard.role,
        purpose=ask.purpose,
        legal=ask.legal,
        prompt=tuple((message.role, message.content) for message in heard.prompt),
        left_out=heard.left_out,
        attempts=answer.attempts,
        value=answer.value,
        how=answer.how,
        begin=answer.begin,
        cut=answer.cut,
        score=answer.score,
        truth=truth,
        claims=tuple(
            ClaimRow(one.claim.begin, one.claim.end, view.names[one.claim.seat], one.truth, one.fact)
            for one in claims
        ),
        scores=heard.scores,
        stripped=heard.stripped,
    )


def game_row(game: int, playing: Playing) -> GameRow:
    """The row of a finished game."""
    table, outcome = playing.table, playing.outcome
    assert outcome is not None
    return GameRow(
        game,
        table.condition.name,
        table.seed,
        table.rules.written(),
        table.names,
        table.identities,
        outcome.winner,
        outcome.why,
        outcome.day,
        outcome.by_night,
        tuple(table.events),
    )


def _event(event: Event) -> Iterator[tuple[str, object]]:
    for each in fields(event):
        value = getattr(event, each.name)
        yield each.name, sorted(value) if isinstance(value, frozenset) else value


def read_turn(row: Mapping[str, object], where: str) -> TurnRow:
    """A row of an ask, as it was written. Raises FormatError."""
    found = Fields(row, where)
    pairs = (_texts(Fields({"prompt": each}, where), "prompt") for each in found.array("prompt"))
    return TurnRow(
        game=found.whole("game"),
        condition=found.text("condition"),
        seed=found.whole("seed"),
        number=found.whole("number"),
        day=found.whole("day"),
        stage=found.text("stage"),
        round=found.whole("round"),
        player=found.text("player"),
        identity=found.text("identity"),
        role=found.text("role"),
        purpose=found.text("purpose"),
        legal=None if found.value("legal") is None else _texts(found, "legal"),
        prompt=tuple((pair[0], pair[1]) for pair in pairs),
        left_out=found.whole("left_out"),
        attempts=_texts(found, "attempts"),
        value=found.text("value"),
        how=found.text("how"),
        begin=found.whole("begin"),
        cut=found.flag("cut"),
        score=None if found.value("score") is None else found.number("score"),
        truth=None if found.value("truth") is None else found.text("truth"),
        claims=tuple(_claim(each) for each in found.each("claims")),
        scores=_scores(found, "scores"),
        stripped=_scores(found, "stripped"),
    )


def _claim(row: Fields) -> ClaimRow:
    about, truth = row.text("about"), row.text("truth")
    return ClaimRow(row.whole("begin"), row.whole("end"), about, truth, row.flag("fact"))


def _texts(row: Fields, name: str) -> tuple[str, ...]:
    return tuple(Fields({name: each}, row.where).text(name) for each in row.array(name))


def _scores(row: Fields, name: str) -> dict[str, Scores]:
    inner = row.inner(name)
    return {probe: read_scores(inner.inner(probe)) for probe in inner.values}


def read_game(row: Mapping[str, object], where: str) -> GameRow:
    """A row of a game, as it was written. Raises FormatError."""
    found = Fields(row, where)
    return GameRow(
        found.whole("game"),
        found.text("condition"),
        found.whole("seed"),
        found.inner("rules").values,
        _texts(found, "names"),
        _texts(found, "identities"),
        found.text("winner"),
        found.text("why"),
        found.whole("days"),
        found.flag("by_night"),
        tuple(_read_event(each) for each in found.each("events")),
    )


def _read_event(row: Fields) -> Event:
    seen = row.value("seen_by")
    return Event(
        what=_one_of(row, "what", get_args(What)),
        day=row.whole("day"),
        stage=_one_of(row, "stage", get_args(Stage)),
        round=row.whole("round"),
        actor=row.whole_or_none("actor"),
        target=row.whole_or_none("target"),
        word=row.text("word"),
        seen_by=None if seen is None else frozenset(_wholes(row, "seen_by")),
    )


def _wholes(row: Fields, name: str) -> Iterator[int]:
    return (Fields({name: each}, row.where).whole(name) for each in row.array(name))


def _one_of(row: Fields, name: str, known: tuple[Known, ...]) -> Known:
    word = row.text(name)
    for each in known:
        if each == word:
            return each
    raise FormatError(f"{row.where}: {name} is {word!r}; the run was changed")


def turns_in(folder: Path) -> Iterator[TurnRow]:
    """Every ask of a run, in the order of writing."""
    path = folder / f"{TURNS}.jsonl"
    return (read_turn(row, f"{path}:{number}") for number, row in enumerate(read_lines(path), 1))


def games_in(folder: Path) -> Iterator[GameRow]:
    """Every finished game of a run."""
    path = folder / f"{GAMES}.jsonl"
    return (read_game(row, f"{path}:{number}") for number, row in enumerate(read_lines(path), 1))
