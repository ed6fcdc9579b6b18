"""What chance alone wins, and what an experiment can find."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ullage.kinds.werewolf.exact_rates import exact, exiled, is_exact
from ullage.kinds.werewolf.forecast import forecast
from ullage.kinds.werewolf.random_play import PLAYED, WINS, known, played, rate
from ullage.kinds.werewolf.rules import PRESETS, Rules
from ullage.measures.power import paired_power, smallest_found, unpaired_power
from ullage.measures.proportions import mcnemar, wilson

GUIDE = PRESETS["guide"]


@pytest.mark.parametrize(
    ("ties", "voters", "expected"),
    [
        ("random", "independent", Fraction(2, 15)),
        ("random", "exile", Fraction(2, 15)),
        ("random", "bloc", Fraction(3, 64)),
        ("nobody", "independent", Fraction(17, 256)),
        ("nobody", "bloc", Fraction(1, 128)),
    ],
)
def test_the_guides_game_at_random(ties, voters, expected):
    assert exact(replace(GUIDE, ties=ties), voters) == expected


@pytest.mark.parametrize("exile", ["plurality", "majority"])
@pytest.mark.parametrize("ties", ["nobody", "random"])
@pytest.mark.parametrize(("wolves", "others"), [(1, 2), (1, 3), (2, 3)])
def test_a_ballot_is_as_if_every_combination_of_votes_were_counted(wolves, others, ties, exile):
    rules = Rules(ties=ties, exile=exile)
    living = range(wolves + others)
    counted = [Fraction(0)] * 3
    ballots = list(product(*([each for each in living if each != voter] for voter in living)))
    for ballot in ballots:
        votes = [ballot.count(each) for each in living]
        leading = [each for each in living if votes[each] == max(votes)]
        enough = exile == "plurality" or 2 * max(votes) > len(living)
        if len(leading) == 1 and not enough:
            leading = [each for each in living if votes[each]]
        if len(leading) > 1 and ties == "nobody":
            counted[2] += 1
            continue
        for each in leading:
            counted[0 if each < wolves else 1] += Fraction(1, len(leading))
    assert list(exiled(wolves, others, rules, "independent")) == [each / len(ballots) for each in counted]


@pytest.mark.parametrize("preset", ["arena", "aiwolf5"])
def test_presets_without_an_exact_rate_were_played_before(preset):
    """The first thousand games, played again, agree with all that were counted."""
    found = known(PRESETS[preset])
    assert (found.exact, found.wins, found.games) == (None, WINS[preset], PLAYED)
    wins, count = played(PRESETS[preset], 0, 1000)
    low, high = wilson(wins, count)
    assert low <= found.value <= high
    said = forecast(PRESETS[preset], 1, 10)[0]
    assert said.startswith(f"random play: the villagers win {found.value:.1%} of the games (")
    assert "10,000 were played" in said


def test_where_no_rate_is_known_a_plan_says_who_tells_it():
    rules = replace(PRESETS["arena"], hunter=True)
    assert known(rules) is None
    assert "is told by the report" in forecast(rules, 1, 10)[0]


def test_played_games_agree_with_the_exact_rate():
    for ties in ("random", "nobody"):
        rules = replace(GUIDE, ties=ties)
        low, high = rate(replace(rules, days=5), games=400).interval
        assert low <= float(exact(rules)) <= high


def test_what_is_not_plain_is_played_and_has_an_interval():
    assert not is_exact(PRESETS["arena"])
    found = rate(PRESETS["aiwolf5"], games=50)
    low, high = found.interval
    assert found.exact is None
    assert low < found.value < high


def test_thirty_games_an_arm_find_seventeen_points_one_time_in_four():
    """And not 64 % of the time."""
    assert unpaired_power(30, 0.4, 0.57) == pytest.approx(0.267, abs=0.001)
    assert paired_power(30, 0.4, 0.57) == pytest.approx(0.183, abs=0.001)


@given(st.integers(1, 12), st.sampled_from([0.1, 0.4, 0.5]), st.sampled_from([0.2, 0.5, 0.9]))
def test_paired_power_is_the_sum_over_every_outcome(pairs, first, second):
    one, other = first * (1 - second), second * (1 - first)
    found = 0.0
    for outcome in product((0, 1, -1), repeat=min(pairs, 7)):
        share = 1.0
        for each in outcome:
            share *= (1 - one - other, one, other)[each]
        found += share * (mcnemar(outcome.count(1), outcome.count(-1)) <= 0.05)
    assert paired_power(min(pairs, 7), first, second) == pytest.approx(found, abs=1e-9)


def test_more_games_find_less():
    assert smallest_found(30, 0.4) > smallest_found(300, 0.4)
    assert smallest_found(3, 0.4) is None


def test_a_plan_says_both():
    lines = forecast(GUIDE, 2, 30)
    assert lines[0] == "random play: the villagers win 2/15 of the games (13.3%)"
    assert "17 points with a power of 18%" in lines[1]
    assert len(forecast(GUIDE, 1, 30)) == 1
    assert len(forecast(PRESETS["arena"], 1, 30)) == 1
