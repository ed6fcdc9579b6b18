"""Calibration error and temperature against their definitions."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ullage.measures.calibration import Bins, calibration_error, fit_temperature, probability


def test_calibration_error_by_hand():
    right, sure = [True, False, False, True], [0.95, 0.95, 0.15, 1.0]
    # One bin holds 0.95, 0.95 and 1.0 of which two are right; one holds 0.15, which is wrong.
    assert calibration_error(sure, right) == pytest.approx((abs(2.9 - 2) + 0.15) / 4)
    assert calibration_error([], []) == 0
    assert Bins().error is None


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=60), st.integers(1, 20))
def test_calibration_error_is_its_definition(rows, bins):
    sure, right = np.array([p for p, _ in rows]), np.array([label for _, label in rows])
    place = np.minimum((sure * bins).astype(int), bins - 1)
    wanted = sum(
        (place == one).mean() * abs(sure[place == one].mean() - right[place == one].mean())
        for one in set(place.tolist())
    )
    assert calibration_error(sure.tolist(), right.tolist(), bins) == pytest.approx(wanted)


def test_bins_say_what_they_hold():
    found = Bins()
    for p, label in [(0.31, True), (0.39, False), (1.0, True)]:
        found.add(p, label)
    low, high = found.rows
    assert (low.probability, low.positive, low.count) == (pytest.approx(0.35), 0.5, 2)
    assert (high.probability, high.positive, high.count) == (1, 1, 1)


def test_a_perfectly_calibrated_confidence_has_no_error():
    chance = np.random.default_rng(0)
    sure = chance.random(200_000)
    assert calibration_error(sure.tolist(), (chance.random(200_000) <= sure).tolist()) < 0.005


@pytest.mark.parametrize("stretch", [0.5, 1.0, 3.0])
def test_a_temperature_undoes_what_stretched_the_margins(stretch):
    chance = random.Random(0)
    truths = [chance.gauss(0, 2) for _ in range(5000)]
    labels = [chance.random() < probability(truth) for truth in truths]
    assert fit_temperature([stretch * truth for truth in truths], labels) == pytest.approx(stretch, rel=0.1)


def test_probabilities_of_any_margin_are_probabilities():
    assert probability(1e9) == 1
    assert 0 <= probability(-1e9) < 1e-300
    assert probability(2.0, 2.0) == probability(1.0)
