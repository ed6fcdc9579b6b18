"""Scores of how well right and wrong are told apart, against scikit-learn, scipy and enumeration."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics

from ullage.errors import InputError
from ullage.measures.telling_apart import SCORES, measure, recall_at, scores

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
    assert measure(SCORES["AUROC"], wrong, uncertainty) == pytest.approx(u / pairs)


@settings(deadline=None, max_examples=60)
@given(labelled)
def test_areas_under_curves_are_scikit_learns_ties_included(rows):
    wrong, uncertainty = arrays(rows)
    assert measure(SCORES["AUROC"], wrong, uncertainty) == pytest.approx(
        metrics.roc_auc_score(wrong, uncertainty)
    )
    assert measure(SCORES["PR-AUC"], wrong, uncertainty) == pytest.approx(
        metrics.average_precision_score(wrong, uncertainty)
    )


def test_the_interval_is_that_of_scores_computed_resample_by_resample():
    chance = np.random.default_rng(5)
    wrong = (chance.random(60) < 0.4).astype(float)
    values = np.round(chance.normal(wrong), 1)
    found = {one.name: one for one in scores(wrong, values, draws=4000)}
    drawn = []
    for _ in range(4000):
        rows = chance.integers(0, 60, 60)
        if 0 < wrong[rows].sum() < 60:
            drawn.append([measure(of, wrong[rows], values[rows]) for of in SCORES.values()])
    for name, column in zip(SCORES, np.array(drawn).T, strict=True):
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
    assert measure(SCORES["AURAC"], wrong, uncertainty) == pytest.approx(np.mean(areas))


@settings(deadline=None, max_examples=60)
@given(labelled)
def test_perfect_rejection_is_1_and_the_opposite_negative(rows):
    wrong, _ = arrays(rows)
    assert measure(SCORES["PRR"], wrong, wrong) == pytest.approx(1)
    assert measure(SCORES["PRR"], wrong, -wrong) < 0
    assert measure(SCORES["PRR"], wrong, np.ones_like(wrong)) == pytest.approx(0, abs=1e-12)


def test_average_precision_by_hand():
    wrong, uncertainty = np.array([1.0, 0, 1, 0]), np.array([4.0, 3, 2, 1])
    assert measure(SCORES["PR-AUC"], wrong, uncertainty) == pytest.approx((1 + 2 / 3) / 2)


def test_an_interval_holds_the_value_and_covers_the_truth_about_as_often_as_it_says():
    chance = np.random.default_rng(1)
    covered = 0
    truth = stats.norm.cdf(1 / math.sqrt(2))
    for seed in range(60):
        wrong = (chance.random(120) < 0.4).astype(float)
        found = scores(wrong, chance.normal(wrong), draws=200, seed=seed)[0]
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
    found = scores(wrong, list(range(len(wrong))))[0]
    assert found.value is None
    assert said in found.reason
    assert found.answers == len(wrong)


def test_the_same_seed_gives_the_same_interval():
    wrong, values = [0, 1] * 20, list(range(40))
    assert scores(wrong, values, seed=3) == scores(wrong, values, seed=3)


@settings(deadline=None, max_examples=200)
@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 6)), min_size=4, max_size=40).filter(
        lambda rows: 0 < sum(wrong for wrong, _ in rows) < len(rows)
    ),
    st.sampled_from([0.0, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0]) | st.floats(0, 1),
)
def test_recall_at_a_rate_is_the_best_point_of_scikit_learns_curve(rows, rate):
    wrong, uncertainty = arrays(rows)
    false, true, _ = metrics.roc_curve(wrong, uncertainty, drop_intermediate=False)
    assert measure(recall_at(rate), wrong, uncertainty) == true[false <= rate].max()


def test_recall_at_a_rate_flags_equal_answers_together():
    wrong, uncertainty = np.array([1.0, 1, 0, 1, 0, 0]), np.array([3.0, 2, 2, 1, 0, 0])
    assert measure(recall_at(0), wrong, uncertainty) == 1 / 3
    assert measure(recall_at(0.3), wrong, uncertainty) == 1 / 3
    assert measure(recall_at(1 / 3), wrong, uncertainty) == 1
    assert measure(recall_at(0.5), wrong, np.ones(6)) == 0
    assert measure(recall_at(1), wrong, np.ones(6)) == 1


@settings(deadline=None, max_examples=60)
@given(labelled, st.floats(0, 1), st.floats(0, 1))
def test_a_larger_rate_never_finds_less(rows, one, other):
    wrong, uncertainty = arrays(rows)
    less, more = sorted((one, other))
    found = measure(recall_at(less), wrong, uncertainty)
    assert 0 <= found <= measure(recall_at(more), wrong, uncertainty) <= 1


def test_any_statistic_gets_an_interval():
    chance = np.random.default_rng(2)
    wrong = (chance.random(300) < 0.4).astype(float)
    at = {"recall at 5 %": recall_at(0.05), "recall at 50 %": recall_at(0.5)}
    few, many = scores(wrong, chance.normal(wrong), at)
    assert few.name == "recall at 5 %"
    assert few.low <= few.value <= few.high < many.high <= 1


@pytest.mark.parametrize("rate", [-0.1, 1.1, math.nan])
def test_a_rate_is_a_share(rate):
    with pytest.raises(InputError, match="between 0 and 1"):
        recall_at(rate)
