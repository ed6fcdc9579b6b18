"""What games come to, and what a probe heard in them, from rows alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scripted_games import at_random, play

from ullage.kinds.werewolf.analysis import arms, first_exile, invalid, pairs
from ullage.kinds.werewolf.chance import chance
from ullage.kinds.werewolf.conditions import Condition
from ullage.kinds.werewolf.listening import calibration, heard, over_the_game, suspicions, told_apart
from ullage.kinds.werewolf.playing import Reply
from ullage.kinds.werewolf.rows import Heard, game_row, turn_row
from ullage.kinds.werewolf.rules import PRESETS
from ullage.kinds.werewolf.scores import Scores, unavailable
from ullage.kinds.werewolf.table import Table
from ullage.measures.bootstrap import resamples_of_groups
from ullage.measures.telling_apart import scores

GAMES = 12


def scored(ask, answer):
    """A probe that hears werewolves from what their identity lets them read, and nothing without it."""
    drawn = chance(ask.number, ask.view.name).random()
    if ask.legal is not None or not answer.value.strip():
        return {}, {}
    at = ((answer.begin, answer.begin + len(answer.value)),)
    own = (ask.view.identity == "werewolf") * 0.5 + 0.4 * drawn
    return {"lie": Scores((own,), at)}, {"lie": Scores((drawn,), at)}


def record(condition, reply_of):
    games, turns = [], []
    for seed in range(GAMES):
        found = play(Table(PRESETS["guide"], seed, Condition(condition)), reply_of(seed))
        games.append(game_row(seed, found.game))
        for ask, answer in found.turns:
            turns.append(
                turn_row(seed, found.game.table, ask, answer, Heard((), 0, "player", *scored(ask, answer)))
            )
    return games, turns


@pytest.fixture(scope="module")
def experiment():
    def silent(seed):
        reply = at_random(seed + 100)
        return lambda ask: Reply("?") if ask.legal else reply(ask)

    parts = [record("control", at_random), record("treatment", silent)]
    return [game for games, _ in parts for game in games], [turn for _, turns in parts for turn in turns]


def test_arms_count_wins_first_exiles_and_votes(experiment):
    games, turns = experiment
    control, treatment = arms(games, turns)
    mine = [game for game in games if game.condition == "control"]
    assert (control.wins.hits, control.wins.count) == (sum(g.winner == "villagers" for g in mine), GAMES)
    low, high = control.wins.interval
    assert low <= control.wins.value <= high
    assert control.first_exile.hits == sum(first_exile(game) == "werewolf" for game in mine)
    wolves = {
        (g.game, n) for g in mine for n, i in zip(g.names, g.identities, strict=True) if i == "werewolf"
    }
    cast = [t for t in turns if t.condition == "control" and t.purpose == "vote" and t.identity != "werewolf"]
    assert (control.votes.hits, control.votes.count) == (
        sum((t.game, t.value) in wolves for t in cast),
        len(cast),
    )
    assert control.choices.repaired > 0
    assert control.choices.valid
    assert treatment.choices.fallbacks == treatment.choices.choices
    (line,) = invalid([control, treatment])
    assert line.startswith("treatment: ")
    assert "above 20% a condition is invalid" in line


def test_conditions_are_compared_on_the_same_seeds(experiment):
    games, _ = experiment
    (pair,) = pairs(games)
    won = {(g.condition, g.seed): g.winner == "villagers" for g in games}
    assert pair.games == GAMES
    assert pair.only_one == sum(won["control", s] and not won["treatment", s] for s in range(GAMES))
    assert pair.only_other == sum(won["treatment", s] and not won["control", s] for s in range(GAMES))
    assert 0 < pair.p <= 1
    assert pairs(games[:GAMES]) == []
    assert pairs([*games[:GAMES], *games[GAMES + 6 :]])[0].games == GAMES - 6


def test_a_probe_that_reads_the_role_alone_is_shown_to(experiment):
    """It is perfect with roles, chance without them, and chance with labels shuffled."""
    _, turns = experiment
    found = {(row.span, row.label, row.column, row.by): row.auroc for row in told_apart(turns, "lie")}
    for span in ("thought", "statement", "identity"):
        assert found[span, "werewolf", "with roles", "text"].value == 1.0
        for column in ("without roles", "shuffled"):
            chance_like = found[span, "werewolf", column, "text"]
            assert chance_like.low < 0.5 < chance_like.high
    assert found["statement", "werewolf", "with roles", "player"].value == 1.0
    assert found["statement", "lie", "with roles", "text"].mistakes > 0


def test_what_is_unavailable_is_counted_and_is_no_number(experiment):
    _, turns = experiment
    gone = [
        replace(turn, scores={"lie": unavailable("timeout")}) if turn.number % 4 else turn for turn in turns
    ]
    texts, missing = heard(gone, "lie", "statement", "werewolf", "with roles")
    whole, none = heard(turns, "lie", "statement", "werewolf", "with roles")
    silent = sum(turn.value == "" for turn in turns if turn.purpose == "statement")
    assert none == silent
    assert len(texts) + missing == len(whole) + none
    assert missing > silent
    assert next(told_apart([], "lie")).auroc.value is None


def test_suspicion_is_a_mean_and_does_not_grow_with_how_much_one_says(experiment):
    _, turns = experiment
    found = suspicions(turns, "lie")
    for one in found:
        said = [
            turn.scores["lie"].mean()
            for turn in turns
            if (turn.condition, turn.game, turn.player) == (one.condition, one.game, one.player)
            and turn.purpose == "statement"
            and turn.value
        ]
        assert one.mean == pytest.approx(sum(said) / len(said))
        assert (one.identity == "werewolf") == (one.mean >= 0.5)
        assert one.interval is None or one.interval[0] <= one.mean <= one.interval[1]
    twice = suspicions([*turns, *turns], "lie")
    assert [one.mean for one in twice] == pytest.approx([one.mean for one in found])


def test_scores_over_the_game_are_of_each_round_and_side(experiment):
    _, turns = experiment
    found = over_the_game(turns, "lie")
    assert {(one.day, one.round) for one in found if one.day == 1} == {(1, 1), (1, 2)}
    for one in found:
        assert one.interval[0] <= one.mean <= one.interval[1]
        assert (one.mean >= 0.5) == one.werewolves


def test_calibration_is_of_decided_statements(experiment):
    _, turns = experiment
    error, bins = calibration(turns, "lie", lambda score: score)
    decided = [turn for turn in turns if turn.truth in ("lie", "true") and turn.value]
    assert sum(each.count for each in bins) == len(decided)
    assert 0 <= error <= 1
    assert calibration([], "lie", lambda score: score) == (None, [])


def test_rows_of_one_group_are_drawn_together():
    groups = [3, 3, 3, 8, 8, 9]
    (weights,) = resamples_of_groups(groups, draws=50)
    assert weights.shape == (50, 6)
    assert (weights[:, 0] == weights[:, 2]).all()
    assert (weights[:, 0] + weights[:, 3] + weights[:, 5] == 3).all()


def test_an_interval_over_games_is_wider_than_one_over_statements_that_repeat():
    drawn = np.random.default_rng(0)
    labels, values = np.repeat(drawn.integers(0, 2, 30), 20), np.repeat(drawn.normal(size=30), 20)
    groups = [int(each) for each in np.repeat(np.arange(30), 20)]
    (alone,) = [one for one in scores(labels, values) if one.name == "AUROC"]
    (together,) = [one for one in scores(labels, values, groups=groups) if one.name == "AUROC"]
    assert together.value == alone.value
    assert together.high - together.low > 2 * (alone.high - alone.low)
