"""Uncertainty measures against closed forms and independent computations."""

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from ullage.measures import uncertainty

logprob = st.floats(-8, -0.01)
answer = st.lists(logprob, min_size=1, max_size=6)


def test_nll_is_the_product_of_probabilities():
    assert uncertainty.nll([math.log(0.5), math.log(0.25)]) == pytest.approx(-math.log(0.125))
    assert uncertainty.mean_nll([math.log(0.5), math.log(0.125)]) == pytest.approx(2 * math.log(2))
    assert uncertainty.nll([]) == uncertainty.mean_nll([]) == 0


@settings(deadline=None, max_examples=60)
@given(answer)
def test_uniform_weights_give_the_mean(logprobs):
    assert uncertainty.weighted_nll(logprobs, uncertainty.uniform) == pytest.approx(
        uncertainty.mean_nll(logprobs)
    )


@settings(deadline=None, max_examples=60)
@given(answer)
def test_weightings_stay_between_the_most_and_the_least_surprising_token(logprobs):
    for weighting in uncertainty.WEIGHTINGS.values():
        found = uncertainty.weighted_nll(logprobs, weighting)
        assert min(-one for one in logprobs) - 1e-9 <= found <= max(-one for one in logprobs) + 1e-9


@settings(deadline=None, max_examples=60)
@given(answer)
def test_surprising_tokens_weigh_more_than_their_number(logprobs):
    assert uncertainty.weighted_nll(logprobs, uncertainty.surprising) >= uncertainty.mean_nll(logprobs) - 1e-6


def test_early_and_late_weights_are_mirror_images():
    there, back = [-1.0, -2.0, -4.0], [-4.0, -2.0, -1.0]
    assert uncertainty.weighted_nll(there, uncertainty.early) == pytest.approx((3 * 1 + 2 * 2 + 1 * 4) / 6)
    assert uncertainty.weighted_nll(there, uncertainty.early) == uncertainty.weighted_nll(
        back, uncertainty.late
    )


def test_a_weighting_without_weight_is_refused():
    with pytest.raises(ValueError, match="negative weight"):
        uncertainty.weighted_nll([-1.0], lambda place, count, surprisal: 0.0)
    with pytest.raises(ValueError, match="negative weight"):
        uncertainty.weighted_nll([-1.0, -1.0], lambda place, count, surprisal: place - 0.5)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.floats(0.01, 10), min_size=1, max_size=8))
def test_entropy_is_scipys(masses):
    assert uncertainty.entropy(masses) == pytest.approx(stats.entropy(masses), abs=1e-9)


def test_predictive_entropy_estimates_the_entropy_of_a_known_distribution():
    shares = [0.5, 0.3, 0.2]
    chance = random.Random(0)
    drawn = chance.choices(range(3), weights=shares, k=20_000)
    found = uncertainty.predictive_entropy([[math.log(shares[one])] for one in drawn])
    assert found == pytest.approx(stats.entropy(shares), abs=0.01)


def test_semantic_entropy_of_a_toy_distribution():
    # Two meanings: probability 0.4 + 0.2 against 0.4.
    samples = [[math.log(0.4)], [math.log(0.2)], [math.log(0.4)]]
    assert uncertainty.semantic_entropy(samples, [0, 0, 1]) == pytest.approx(stats.entropy([0.6, 0.4]))
    assert uncertainty.discrete_semantic_entropy([0, 0, 1]) == pytest.approx(stats.entropy([2, 1]))
    assert uncertainty.semantic_entropy(samples, [5, 5, 5]) == 0
    assert math.copysign(1, uncertainty.semantic_entropy(samples, [5, 5, 5])) == 1  # -0.0 reads as a fault


def test_semantic_entropy_normalises_by_length():
    long, short = [math.log(0.5)] * 10, [math.log(0.5)]
    assert uncertainty.semantic_entropy([long, short], [0, 1]) == pytest.approx(math.log(2))


def test_semantic_entropy_survives_probabilities_below_the_smallest_float():
    samples = [[-2000.0], [-2000.0 - math.log(3)]]
    assert uncertainty.semantic_entropy(samples, [0, 1]) == pytest.approx(stats.entropy([3, 1]))


@settings(deadline=None, max_examples=60)
@given(st.lists(answer, min_size=1, max_size=6), st.randoms())
def test_joining_meanings_never_adds_entropy(samples, chance):
    clusters = [chance.randrange(3) for _ in samples]
    joined = [min(cluster, 1) for cluster in clusters]
    apart = uncertainty.semantic_entropy(samples, clusters)
    assert uncertainty.semantic_entropy(samples, joined) <= apart + 1e-9
    assert apart <= math.log(len(set(clusters))) + 1e-9


def test_relevance_shares_out_what_removing_a_token_changes():
    assert uncertainty.token_relevance([1.0, 0.5, 0.75]) == pytest.approx([0, 2 / 3, 1 / 3])
    assert uncertainty.token_relevance([1.0, 1.0]) == [0.5, 0.5]
    assert uncertainty.token_relevance([]) == []
    assert uncertainty.relevance_nll([-1.0, -4.0, -2.0], [0, 2 / 3, 1 / 3]) == pytest.approx(10 / 3)


def test_sentence_sar_by_hand():
    p, g, t = [0.5, 0.25], 0.8, 0.1
    wanted = -(math.log(p[0] + g * p[1] / t) + math.log(p[1] + g * p[0] / t)) / 2
    nlls = [-math.log(one) for one in p]
    assert uncertainty.sentence_sar(nlls, [[1, g], [g, 1]], t) == pytest.approx(wanted)
    assert uncertainty.sentence_sar(nlls, [[1, 0], [0, 1]]) == pytest.approx(sum(nlls) / 2)
    assert uncertainty.sentence_sar([5000.0, 5000.0], [[1, 1], [1, 1]]) < 5000.0


def test_p_true_is_what_is_left_for_no():
    assert uncertainty.p_true(math.log(0.6), math.log(0.2)) == pytest.approx(0.25)
    assert uncertainty.p_true(-math.inf, -1.0) == 1.0
    assert uncertainty.p_true(-1.0, -math.inf) == pytest.approx(0.0)


def test_entropies_of_tokens():
    assert uncertainty.mean_entropy([1.0, 3.0]) == 2.0
    assert uncertainty.max_entropy([1.0, 3.0]) == 3.0
    assert uncertainty.mean_entropy([]) == uncertainty.max_entropy([]) == 0.0


def test_no_samples_is_an_error_and_not_a_zero():
    for call in (
        lambda: uncertainty.predictive_entropy([]),
        lambda: uncertainty.semantic_entropy([], []),
        lambda: uncertainty.discrete_semantic_entropy([]),
        lambda: uncertainty.sentence_sar([], []),
    ):
        with pytest.raises(ValueError, match="at least one sample"):
            call()
