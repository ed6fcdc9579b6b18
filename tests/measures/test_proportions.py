"""Intervals of shares, and the exact test of a difference, beside published and exact values."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ullage.measures.calibration_intervals import error_interval, temperature_interval
from ullage.measures.proportions import f1_interval, mcnemar, wilson


def test_wilson_is_that_of_the_literature():
    # Newcombe 1998, Statistics in Medicine 17, table I: 81 of 263, 15 of 148, 0 of 20, 1 of 29.
    for hits, count, wanted in (
        (81, 263, (0.2553, 0.3662)),
        (15, 148, (0.0624, 0.1605)),
        (0, 20, (0.0, 0.1611)),
        (1, 29, (0.0061, 0.1718)),
    ):
        assert wilson(hits, count) == pytest.approx(wanted, abs=5e-5)
    assert wilson(0, 0) is None


@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_is_the_binomial_of_the_cases_that_tell_apart(one, other):
    count = one + other
    tail = sum(math.comb(count, each) for each in range(min(one, other) + 1)) / 2**count
    assert mcnemar(one, other) == pytest.approx(1.0 if one == other else min(1.0, 2 * tail))
    assert mcnemar(one, other) == mcnemar(other, one)


@given(st.integers(0, 50), st.integers(0, 50), st.integers(0, 50))
def test_an_f1_is_inside_its_interval(hits, false_alarms, misses):
    span = f1_interval(hits, false_alarms, misses)
    if span is None:
        assert hits + false_alarms + misses == 0
    else:
        f1 = 2 * hits / (2 * hits + false_alarms + misses)
        assert span[0] - 1e-12 <= f1 <= span[1] + 1e-12


def test_more_labels_give_narrower_intervals():
    pytest.importorskip("scipy")
    widths = []
    for repeats in (10, 40):
        margins = [2.0, -1.0, 0.5, -2.0, 1.0, -0.5] * repeats
        labels = [True, False, True, False, True, True] * repeats
        records = list(range(len(margins)))
        chances = [1 / (1 + math.exp(-one)) for one in margins]
        spans = (temperature_interval(margins, labels, records), error_interval(chances, labels, records))
        widths.append([high - low for low, high in spans])
    assert all(few > many > 0 for few, many in zip(*widths, strict=True))
