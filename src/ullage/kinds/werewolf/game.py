"""A game from the first night to its winner, as a generator of asks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ullage.kinds.werewolf.ballot import vote
from ullage.kinds.werewolf.identities import Side
from ullage.kinds.werewolf.night import night
from ullage.kinds.werewolf.table import Steps, Table
from ullage.kinds.werewolf.talk import talk

Why = Literal["no werewolf lives", "the villagers can no longer outvote the werewolves", "the days ran out"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """Who won, why, and on which day; `by_night` where it was over before that day's talk."""

    winner: Side
    why: Why
    day: int
    by_night: bool


def play(table: Table) -> Steps[Outcome]:
    """The whole game. It yields asks that may be answered side by side, takes their answers in that order,
    and returns who won."""
    if len(table.pack) > 1:
        for seat in table.pack:
            table.add("pack", target=seat, seen_by=table.pack)
    if table.rules.asked_who:
        yield tuple(table.ask(seat, "identity") for seat in table.living)
    while True:
        yield from night(table)
        if found := _over(table, True):
            return found
        yield from talk(table)
        yield from vote(table)
        if found := _over(table, False):
            return found
        if table.day >= table.rules.days:
            return Outcome("werewolves", "the days ran out", table.day, False)
        table.day += 1


def _over(table: Table, by_night: bool) -> Outcome | None:
    pack = len(table.pack)
    if not pack:
        return Outcome("villagers", "no werewolf lives", table.day, by_night)
    if pack >= len(table.living) - pack:
        why: Why = "the villagers can no longer outvote the werewolves"
        return Outcome("werewolves", why, table.day, by_night)
    return None
