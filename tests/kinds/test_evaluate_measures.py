"""Uncertainty measures and their scores, against closed forms and independent computations."""

import itertools
import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics

from ullage.kinds.evaluate import accuracy, measures, scores

logprob = st.floats(-8, -0.01)
answer = st.lists(logprob, min_size=1, max_size=6)


def test_nll_is_the_product_of_probabilities():
    assert measures.nll([math.log(0.5), math.log(0.25)]) == pytest.approx(-math.log(0.125))
    assert measures.mean_nll([math.log(0.5), math.log(0.125)]) == pytest.approx(2 * math.log(2))
    assert measures.nll([]) == measures.mean_nll([]) == 0


@settings(deadline=None, max_examples=60)
@given(answer)
def test_uniform_weights_give_the_mean(logprobs):
    assert measures.weighted_nll(logprobs, measures.uniform) == pytest.approx(measures.mean_nll(logprobs))


@settings(deadline=None, max_examples=60)
@given(answer)
def test_weightings_stay_between_the_most_and_the_least_surprising_token(logprobs):
    for weighting in measures.WEIGHTINGS.values():
        found = measures.weighted_nll(logprobs, weighting)
        assert min(-one for one in logprobs) - 1e-9 <= found <= max(-one for one in logprobs) + 1e-9


@settings(deadline=None, max_examples=60)
@given(answer)
def test_surprising_tokens_weigh_more_than_their_number(logprobs):
    assert measures.weighted_nll(logprobs, measures.surprising) >= measures.mean_nll(logprobs) - 1e-6


def test_early_and_late_weights_are_mirror_images():
    there, back = [-1.0, -2.0, -4.0], [-4.0, -2.0, -1.0]
    assert measures.weighted_nll(there, measures.early) == pytest.approx((3 * 1 + 2 * 2 + 1 * 4) / 6)
    assert measures.weighted_nll(there, measures.early) == measures.weighted_nll(back, measures.late)


def test_a_weighting_without_weight_is_refused():
    with pytest.raises(ValueError, match="negative weight"):
        measures.weighted_nll([-1.0], lambda place, count, surprisal: 0.0)
    with pytest.raises(ValueError, match="negative weight"):
        measures.weighted_nll([-1.0, -1.0], lambda place, count, surprisal: place - 0.5)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.floats(0.01, 10), min_size=1, max_size=8))
def test_entropy_is_scipys(masses):
    assert measures.entropy(masses) == pytest.approx(stats.entropy(masses), abs=1e-9)


def test_predictive_entropy_estimates_the_entropy_of_a_known_distribution():
    shares = [0.5, 0.3, 0.2]
    chance = random.Random(0)
    drawn = chance.choices(range(3), weights=shares, k=20_000)
    found = measures.predictive_entropy([[math.log(shares[one])] for one in drawn])
    assert found == pytest.approx(stats.entropy(shares), abs=0.01)


def test_semantic_entropy_of_a_toy_distribution():
    # Two meanings: probability 0.4 + 0.2 against 0.4.
    samples = [[math.log(0.4)], [math.log(0.2)], [math.log(0.4)]]
    assert measures.semantic_entropy(samples, [0, 0, 1]) == pytest.approx(stats.entropy([0.6, 0.4]))
    assert measures.discrete_semantic_entropy([0, 0, 1]) == pytest.approx(stats.entropy([2, 1]))
    assert measures.semantic_entropy(samples, [5, 5, 5]) == 0


def test_semantic_entropy_normalises_by_length():
    long, short = [math.log(0.5)] * 10, [math.log(0.5)]
    assert measures.semantic_entropy([long, short], [0, 1]) == pytest.approx(math.log(2))


def test_semantic_entropy_survives_probabilities_below_the_smallest_float():
    samples = [[-2000.0], [-2000.0 - math.log(3)]]
    assert measures.semantic_entropy(samples, [0, 1]) == pytest.approx(stats.entropy([3, 1]))


@settings(deadline=None, max_examples=60)
@given(st.lists(answer, min_size=1, max_size=6), st.randoms())
def test_joining_meanings_never_adds_entropy(samples, chance):
    clusters = [chance.randrange(3) for _ in samples]
    joined = [min(cluster, 1) for cluster in clusters]
    apart = measures.semantic_entropy(samples, clusters)
    assert measures.semantic_entropy(samples, joined) <= apart + 1e-9
    assert apart <= math.log(len(set(clusters))) + 1e-9


def test_relevance_shares_out_what_removing_a_token_changes():
    assert measures.token_relevance([1.0, 0.5, 0.75]) == pytest.approx([0, 2 / 3, 1 / 3])
    assert measures.token_relevance([1.0, 1.0]) == [0.5, 0.5]
    assert measures.token_relevance([]) == []
    assert measures.relevance_nll([-1.0, -4.0, -2.0], [0, 2 / 3, 1 / 3]) == pytest.approx(10 / 3)


def test_sentence_sar_by_hand():
    p, g, t = [0.5, 0.25], 0.8, 0.1
    wanted = -(math.log(p[0] + g * p[1] / t) + math.log(p[1] + g * p[0] / t)) / 2
    nlls = [-math.log(one) for one in p]
    assert measures.sentence_sar(nlls, [[1, g], [g, 1]], t) == pytest.approx(wanted)
    assert measures.sentence_sar(nlls, [[1, 0], [0, 1]]) == pytest.approx(sum(nlls) / 2)
    assert measures.sentence_sar([5000.0, 5000.0], [[1, 1], [1, 1]]) < 5000.0


def test_p_true_is_what_is_left_for_no():
    assert measures.p_true(math.log(0.6), math.log(0.2)) == pytest.approx(0.25)
    assert measures.p_true(-math.inf, -1.0) == 1.0
    assert measures.p_true(-1.0, -math.inf) == pytest.approx(0.0)


def test_entropies_of_tokens():
    assert measures.mean_entropy([1.0, 3.0]) == 2.0
    assert measures.max_entropy([1.0, 3.0]) == 3.0
    assert measures.mean_entropy([]) == measures.max_entropy([]) == 0.0


def test_no_samples_is_an_error_and_not_a_zero():
    for call in (
        lambda: measures.predictive_entropy([]),
        lambda: measures.semantic_entropy([], []),
        lambda: measures.discrete_semantic_entropy([]),
        lambda: measures.sentence_sar([], []),
    ):
        with pytest.raises(ValueError, match="at least one sample"):
            call()


labelled = st.lists(st.tuples(st.booleans(), st.integers(0, 4)), min_size=4, max_size=7).filter(
    lambda rows: 0 < sum(wrong for wrong, _ in rows) < len(rows)
)


def arrays(rows):
    return np.array([float(wrong) for wrong, _ in rows]), np.array([float(u) for _, u in rows])


@settings(deadline=None, max_examples=60)
@given(labelled)
def test_auroc_is_the_mann_whitney_statistic(rows):
    wrong, uncertainty = arrays(rows)
    u = stats.mannwhitneyu(uncertainty[wrong == 1], uncertainty[wrong == 0]).statistic
    pairs = wrong.sum() * (1 - wrong).sum()
    assert scores.measure("AUROC", wrong, uncertainty) == pytest.approx(u / pairs)


@settings(deadline=None, max_examples=60)
@given(labelled)
def test_areas_under_curves_are_scikit_learns_ties_included(rows):
    wrong, uncertainty = arrays(rows)
    assert scores.measure("AUROC", wrong, uncertainty) == pytest.approx(
        metrics.roc_auc_score(wrong, uncertainty)
    )
    assert scores.measure("PR-AUC", wrong, uncertainty) == pytest.approx(
        metrics.average_precision_score(wrong, uncertainty)
    )


def test_the_interval_is_that_of_scores_computed_resample_by_resample():
    chance = np.random.default_rng(5)
    wrong = (chance.random(60) < 0.4).astype(float)
    values = np.round(chance.normal(wrong), 1)
    found = {one.name: one for one in scores.scores(wrong, values, resamples=4000)}
    drawn = []
    for _ in range(4000):
        rows = chance.integers(0, 60, 60)
        if 0 < wrong[rows].sum() < 60:
            drawn.append([scores.measure(name, wrong[rows], values[rows]) for name in scores.SCORES])
    for name, column in zip(scores.SCORES, np.array(drawn).T, strict=True):
        low, high = np.percentile(column, [2.5, 97.5])
        assert found[name].low == pytest.approx(low, abs=0.04)
        assert found[name].high == pytest.approx(high, abs=0.04)


@settings(deadline=None, max_examples=60)
@given(labelled)
def test_ties_count_as_every_order_at_once(rows):
    wrong, uncertainty = arrays(rows)
    areas = []
    for order in itertools.permutations(range(len(rows))):
        if all(uncertainty[a] <= uncertainty[b] for a, b in itertools.pairwise(order)):
            right = np.cumsum([1 - wrong[one] for one in order]) / np.arange(1, len(rows) + 1)
            areas.append(right.mean())
    assert scores.measure("AURAC", wrong, uncertainty) == pytest.approx(np.mean(areas))


@settings(deadline=None, max_examples=60)
@given(labelled)
def test_perfect_rejection_is_1_and_the_opposite_negative(rows):
    wrong, _ = arrays(rows)
    assert scores.measure("PRR", wrong, wrong) == pytest.approx(1)
    assert scores.measure("PRR", wrong, -wrong) < 0
    assert scores.measure("PRR", wrong, np.ones_like(wrong)) == pytest.approx(0, abs=1e-12)


def test_average_precision_by_hand():
    wrong, uncertainty = np.array([1.0, 0, 1, 0]), np.array([4.0, 3, 2, 1])
    assert scores.measure("PR-AUC", wrong, uncertainty) == pytest.approx((1 + 2 / 3) / 2)


def test_calibration_error_by_hand():
    wrong, sure = np.array([0.0, 1, 1, 0]), np.array([0.95, 0.95, 0.15, 1.0])
    # One bin holds 0.95, 0.95 and 1.0 of which two are right; one holds 0.15, which is wrong.
    assert scores.expected_calibration_error(wrong, sure) == pytest.approx((abs(2.9 - 2) + 0.15) / 4)


def test_a_perfectly_calibrated_confidence_has_no_error():
    chance = np.random.default_rng(0)
    sure = chance.random(200_000)
    wrong = (chance.random(200_000) > sure).astype(float)
    assert scores.expected_calibration_error(wrong, sure) < 0.005


def test_an_interval_holds_the_value_and_covers_the_truth_about_as_often_as_it_says():
    chance = np.random.default_rng(1)
    covered = 0
    truth = stats.norm.cdf(1 / math.sqrt(2))
    for seed in range(60):
        wrong = (chance.random(120) < 0.4).astype(float)
        found = scores.scores(wrong, chance.normal(wrong), resamples=200, seed=seed)[0]
        assert found.low <= found.value <= found.high
        covered += found.low <= truth <= found.high
    assert covered >= 50


@pytest.mark.parametrize(
    "wrong, said",
    [
        ([0, 0, 0], "all of the 3 answers are right"),
        ([1, 1, 1], "all of the 3 answers are wrong"),
        ([1, 0, 0], "all but one of the 3 answers are right"),
        ([], "no answers"),
    ],
)
def test_labels_of_one_class_give_no_score_but_a_reason(wrong, said):
    found = scores.scores(wrong, list(range(len(wrong))))[0]
    assert found.value is None
    assert said in found.reason
    assert found.answers == len(wrong)


def test_the_same_seed_gives_the_same_interval():
    wrong, values = [0, 1] * 20, list(range(40))
    assert scores.scores(wrong, values, seed=3) == scores.scores(wrong, values, seed=3)


@pytest.mark.parametrize(
    "text, references, wanted",
    [
        ("The Drosa.", ["drosa"], 1),
        (" Drosa\n", ["Rask", "Drosa"], 1),
        ("Drosa City", ["Drosa"], 0),
        ("", [], 1),
        ("unknown", [], 0),
    ],
)
def test_exact_match_is_squads(text, references, wanted):
    assert accuracy.exact_match(text, references) == wanted


def test_f1_counts_shared_words():
    assert accuracy.f1("in the old town of Drosa", ["old Drosa"]) == pytest.approx(4 / 7)
    assert accuracy.f1("no idea", ["Drosa", "idea"]) == pytest.approx(2 / 3)
    assert accuracy.f1("", ["Drosa"]) == 0
    assert accuracy.f1("", []) == 1
    assert accuracy.f1("the", ["a"]) == 1


def test_rouge_l_is_the_longest_common_subsequence():
    assert accuracy.rouge_l("the cat sat here", ["the cat was here"]) == pytest.approx(3 / 4)
    assert accuracy.rouge_l("cats", ["cat"]) == 1
    assert accuracy.rouge_l("", []) == 1
