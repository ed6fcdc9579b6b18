"""A game that was cut off goes on as if it never had been."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from scripted_games import SAYINGS, SETUPS

from ullage.errors import FormatError
from ullage.kinds.werewolf.chance import chance
from ullage.kinds.werewolf.conditions import ARMS, Condition
from ullage.kinds.werewolf.playing import Playing, Reply
from ullage.kinds.werewolf.resuming import take_up
from ullage.kinds.werewolf.rows import Heard, turn_row
from ullage.kinds.werewolf.table import Table


def player(ask):
    """Answers by the ask alone, now and then so that it cannot be understood, now and then by probability."""
    drawn = chance(7, ask.number, ask.refused or "")
    if ask.legal is None:
        return Reply(drawn.choice(SAYINGS).format(drawn.choice(ask.view.names)), score=drawn.random())
    chosen = drawn.choice(ask.legal)
    return drawn.choice([Reply(chosen), Reply(chosen=chosen), Reply("whoever")])


def go_on(game, rows, most=10**9):
    """Plays on, in another order each time, until the game or `most` answers are done."""
    drawn = random.Random(most)
    while game.open and len(rows) < most:
        ask = drawn.choice(game.open)
        answer = game.reply(ask.number, player(ask))
        if answer is not None:
            rows[ask.number] = turn_row(0, game.table, ask, answer, Heard((), 0, "player"))
    return rows


def table(name, seed):
    return Table(SETUPS[name], seed, Condition(ARMS[seed % 4], noise=0.3, delay=2, threshold=0.5))


@pytest.mark.parametrize("name", SETUPS)
def test_a_game_cut_off_anywhere_is_the_same_game(name):
    for seed in range(3):
        whole = Playing(table(name, seed))
        rows = go_on(whole, {})
        for cut in random.Random(seed).sample(range(len(rows)), 4):
            first = Playing(table(name, seed))
            kept = go_on(first, {}, cut)
            again = Playing(table(name, seed))
            take_up(again, kept)
            assert not {ask.number for ask in again.open} & set(kept)
            assert go_on(again, dict(kept)) == rows
            assert again.table.events == whole.table.events
            assert again.outcome == whole.outcome


def test_rows_of_another_game_are_refused():
    rows = go_on(Playing(table("guide", 1)), {})
    with pytest.raises(FormatError, match="is not the answer of this game; the run was changed"):
        take_up(Playing(table("guide", 2)), rows)
    number = next(number for number, row in rows.items() if row.legal and row.how == "exact")
    changed = {**rows, number: replace(rows[number], value="nobody")}
    with pytest.raises(FormatError, match=f"ask {number}: "):
        take_up(Playing(table("guide", 1)), changed)
