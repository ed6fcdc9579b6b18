"""What a game leaves on disk is read back as it was; a score that is missing never becomes a number."""

from __future__ import annotations

import json

import pyarrow.parquet
import pytest
from scripted_games import FULL, at_random, play

from ullage.errors import FormatError
from ullage.fields import Fields
from ullage.kinds.werewolf.conditions import Condition
from ullage.kinds.werewolf.prompts import Prompts
from ullage.kinds.werewolf.rows import Heard, game_row, read_game, read_turn, turn_row
from ullage.kinds.werewolf.scores import Scores, read_scores, unavailable
from ullage.kinds.werewolf.table import Table
from ullage.kinds.werewolf.tables import write_games, write_turns


@pytest.fixture(scope="module")
def recorded():
    found = play(Table(FULL, 3, Condition("treatment", delay=1)), at_random(3))
    prompts = Prompts(FULL, found.game.table.condition, 10**6, lambda prompt: 0)
    turns = []
    for ask, answer in found.turns:
        text = answer.attempts[-1] if answer.attempts else ""
        words = [(at, at + 1) for at, letter in enumerate(text) if letter != " "]
        heard = (
            Scores(tuple(0.5 for _ in words), tuple(words)) if words else unavailable("no token was written")
        )
        scores = {"lie": heard} if ask.legal is None else {}
        turns.append(
            turn_row(
                7, found.game.table, ask, answer, Heard(prompts.prompt(ask), 0, "player", scores, scores)
            )
        )
    return turns, game_row(7, found.game)


def test_rows_are_read_back_as_they_were(recorded):
    turns, game = recorded
    for row in turns:
        assert read_turn(json.loads(json.dumps(row.written())), "turns.jsonl") == row
    again = read_game(json.loads(json.dumps(game.written())), "games.jsonl")
    assert again == game
    assert again.rules["ties"] == "second_ballot"
    changed = game.written()
    changed["events"][0]["what"] = "vanishes"
    with pytest.raises(FormatError, match="what is 'vanishes'"):
        read_game(changed, "games.jsonl")


def test_what_is_heard_by_all_has_a_truth(recorded):
    turns, _ = recorded
    assert {
        row.truth is not None for row in turns if row.purpose in ("statement", "answer", "last_words")
    } == {True}
    assert {row.truth for row in turns if row.purpose in ("thought", "vote", "kill")} == {None}
    lies = [row for row in turns if row.truth == "lie"]
    assert lies
    assert all(any(claim.truth == "lie" for claim in row.claims) for row in lies)


def test_a_score_that_is_missing_is_a_reason():
    assert unavailable("timeout").written() == {"unavailable": "timeout"}
    assert unavailable("timeout").mean() is None
    assert read_scores(Fields({"unavailable": "timeout"}, "row")).reason == "timeout"
    for wrong in ((), (float("nan"),)):
        with pytest.raises(AssertionError):
            Scores(wrong, tuple((0, 1) for _ in wrong))
    with pytest.raises(FormatError, match="is null, not a number"):
        read_scores(Fields({"values": [None], "offsets": [[0, 1]]}, "row"))


def test_spans_are_of_tokens_by_their_characters():
    """A sentence that is said twice has a score each time."""
    text = "I lie. I lie."
    scores = Scores((0.1, 0.2, 0.8, 0.9), ((0, 1), (1, 6), (6, 8), (8, 13)))
    first, second = text.index("I lie"), text.rindex("I lie")
    assert scores.mean(first, first + 5) == pytest.approx(0.15)
    assert scores.mean(second, second + 5) == pytest.approx(0.85)
    assert scores.mean() == pytest.approx(0.5)
    assert scores.mean(20, 30) is None


def test_the_tables_hold_every_row(recorded, tmp_path):
    turns, game = recorded
    write_turns(tmp_path / "turns.parquet", turns, ["lie"])
    write_games(tmp_path / "games.parquet", [game])
    table = pyarrow.parquet.read_table(tmp_path / "turns.parquet").to_pylist()
    assert len(table) == len(turns)
    for row, written in zip(turns, table, strict=True):
        assert written["value"] == row.value
        heard = row.scores.get("lie")
        assert written["lie mean"] == (None if heard is None else heard.mean())
        assert (written["lie unavailable"] is None) == bool(heard and heard.values)
    (only,) = pyarrow.parquet.read_table(tmp_path / "games.parquet").to_pylist()
    assert json.loads(only["rules"])["players"] == FULL.players
    assert len(json.loads(only["events"])) == len(game.events)
