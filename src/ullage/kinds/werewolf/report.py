"""An experiment on one page of HTML that needs nothing beside itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from ullage.kinds.werewolf.found import Found, Listened
from ullage.kinds.werewolf.replay import Scale, replay, scale_of
from ullage.kinds.werewolf.rows import GameRow, TurnRow
from ullage.records.atomic import write_text
from ullage.records.fits import Fitted
from ullage.reports.html_page import render_page

PAGE: Final = "report.html"
TEMPLATE: Final = Path(__file__).with_name("report.html.jinja")
SHOWN_GAMES: Final = 40
"""Games that are told again; one of six players takes some 30 kB of page."""


def write_page(
    folder: Path,
    title: str,
    models: Mapping[str, str],
    found: Found,
    games: Sequence[GameRow],
    turns: Sequence[TurnRow],
    fits: Sequence[Fitted] = (),
) -> Path:
    """Writes report.html: what was found, probes that were fitted, and games told again, of each condition
    as many."""
    probe = found.probes[0] if found.probes else None
    shown = _shown(games)
    page = render_page(
        TEMPLATE,
        title=title,
        models=models,
        found=found,
        fits=fits,
        probe=probe.probe if probe else "",
        games=list(_games(shown, turns, probe)),
        left_out=len(games) - len(shown),
    )
    path = folder / PAGE
    write_text(path, page)
    return path


def _shown(games: Sequence[GameRow]) -> list[GameRow]:
    """The first games, and each of them in every condition."""
    conditions = max(len({game.condition for game in games}), 1)
    numbers = sorted({game.game for game in games})[: max(SHOWN_GAMES // conditions, 1)]
    return [game for game in games if game.game in set(numbers)]


def _games(
    games: Sequence[GameRow], turns: Sequence[TurnRow], probe: Listened | None
) -> Iterator[dict[str, object]]:
    own: dict[tuple[str, int], list[TurnRow]] = {(game.condition, game.game): [] for game in games}
    for turn in turns:
        if (turn.condition, turn.game) in own:
            own[turn.condition, turn.game].append(turn)
    scale = scale_of(turns, probe.probe) if probe else Scale(0.0, 0.0)
    for game in games:
        mine = own[game.condition, game.game]
        suspected = probe.suspicions if probe else ()
        yield {
            "number": game.game,
            "condition": game.condition,
            "winner": game.winner,
            "why": game.why,
            "days": game.days,
            "seats": list(zip(game.names, game.identities, strict=True)),
            "lines": list(replay(game, mine, probe.probe if probe else None, scale)),
            "suspicions": [
                one for one in suspected if (one.condition, one.game) == (game.condition, game.game)
            ],
        }
