"""A game taken up again from the rows that were safely on disk."""

from __future__ import annotations

from collections.abc import Mapping

from ullage.errors import FormatError
from ullage.kinds.werewolf.playing import Playing, Reply
from ullage.kinds.werewolf.rows import TurnRow


def take_up(playing: Playing, turns: Mapping[int, TurnRow]) -> None:
    """Answers every ask that has a row in `turns`, by number, as it was answered before; what is then open
    has none. Raises FormatError where an answer does not come out as its row says: the rows are of another
    game."""
    while known := [ask for ask in playing.open if ask.number in turns]:
        for ask in known:
            row = turns[ask.number]
            chosen = row.how == "probability"
            replies = (
                [Reply(chosen=row.value)]
                if chosen
                else [Reply(text, score=row.score) for text in row.attempts]
            )
            if chosen and row.value not in (ask.legal or ()):
                raise _changed(row)
            answers = [playing.reply(ask.number, reply) for reply in replies]
            last = answers[-1] if answers else None
            if last is None or (last.value, last.how) != (row.value, row.how) or any(answers[:-1]):
                raise _changed(row)


def _changed(row: TurnRow) -> FormatError:
    where = f"game {row.game} in condition {row.condition}, ask {row.number}"
    return FormatError(f"{where}: is not the answer of this game; the run was changed")
