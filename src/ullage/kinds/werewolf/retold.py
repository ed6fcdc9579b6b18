"""Games told again, as parts of a page: who was who and what was a lie are shown once that is asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Final

from ullage.kinds.werewolf.replay import Line, Scale, replay, scale_of
from ullage.reports.counted import three, within
from ullage.reports.pages.page import Fold, Part, Prose, Section
from ullage.reports.pages.table import Table
from ullage.reports.pages.words import Span, Words

if TYPE_CHECKING:
    from ullage.kinds.werewolf.found import Listened
    from ullage.kinds.werewolf.listening import Suspicion
    from ullage.kinds.werewolf.rows import GameRow, TurnRow

SHOWN_GAMES: Final = 40
"""Games that are told again; one of six players takes some 30 kB of page."""


def games_again(games: Sequence[GameRow], turns: Sequence[TurnRow], probe: Listened | None) -> Iterator[Part]:
    """The first games with every event, statements by the score of `probe`."""
    shown = _first(games)
    said = "Identities and truths are shown once they are asked for."
    if probe is not None:
        said = f"Darker is a higher score of {probe.probe}. {said}"
    if left_out := len(games) - len(shown):
        said = f"The first {len(shown)}; {left_out} more are in games.jsonl. {said}"
    yield Prose(said, "note")
    scale = scale_of(turns, probe.probe) if probe else Scale(0.0, 0.0)
    own: dict[tuple[str, int], list[TurnRow]] = {(game.condition, game.game): [] for game in shown}
    for turn in turns:
        if (turn.condition, turn.game) in own:
            own[turn.condition, turn.game].append(turn)
    for game in shown:
        lines = replay(game, own[game.condition, game.game], probe.probe if probe else None, scale)
        parts = (Prose(_seats(game), "secret"), *_stages(lines), *_suspected(game, probe))
        title = f"{game.condition}, game {game.game}"
        yield Fold(title, parts, reveal="show who was who, and what was a lie")


def _first(games: Sequence[GameRow]) -> list[GameRow]:
    """The first games, and each of them in every condition."""
    conditions = max(len({game.condition for game in games}), 1)
    numbers = sorted({game.game for game in games})[: max(SHOWN_GAMES // conditions, 1)]
    return [game for game in games if game.game in set(numbers)]


def _seats(game: GameRow) -> Span:
    seats = "; ".join(
        f"{name}: {identity}" for name, identity in zip(game.names, game.identities, strict=True)
    )
    return Span(f"The {game.winner} win on day {game.days}: {game.why}. {seats}.")


def _stages(lines: Iterator[Line]) -> Iterator[Section]:
    """Nights and days, each under its heading."""
    heading = ""

    def stage(line: Line) -> str:
        nonlocal heading
        heading = line.heading or heading
        return heading

    for title, told in groupby(lines, stage):
        yield Section(title, tuple(map(_line, told)), 4)


def _line(line: Line) -> Prose:
    speaker = (Span(f"{line.speaker}:", "strong"), " ") if line.speaker else ()
    tokens = (
        Span(each.text)
        if each.score is None
        else Span(each.text, tip=f"{each.score:.3f}", shade=round(each.weight, 3))
        for each in line.tokens
    )
    truth = (" ", Span(f"[{line.truth}]", "secret")) if line.truth else ()
    note = (" ", Span(f"[{line.note}]", "note")) if line.note else ()
    return Prose((*speaker, *tokens, *truth, *note), "secret" if line.private else "")


def _suspected(game: GameRow, probe: Listened | None) -> Iterator[Part]:
    """Players by the mean score of what they said."""
    found = [
        one
        for one in (probe.suspicions if probe else ())
        if (one.condition, one.game) == (game.condition, game.game)
    ]
    if found:
        names = ("mean score", "statements")
        yield Section("Suspicion", (Table(("player", *names), tuple(map(_row, found)), frozenset(names)),), 4)


def _row(one: Suspicion) -> tuple[Words, ...]:
    player = (one.player, " ", Span(one.identity, "secret"))
    return player, within(three(one.mean), one.interval), str(one.statements)
