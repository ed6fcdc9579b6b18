"""A threshold gives what was asked, and no better one was there."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ullage.errors import InputError
from ullage.measures.threshold import pick_threshold


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=4, max_size=30), st.floats(0.1, 1))
@settings(deadline=None)
def test_a_threshold_reaches_what_was_asked(pairs, value):
    probabilities, gold = [p for p, _ in pairs], [g for _, g in pairs]
    if not any(gold):
        return

    def at(threshold):
        taken = [g for p, g in pairs if p >= threshold]
        return sum(taken) / len(taken), sum(taken) / sum(gold)

    assert at(pick_threshold(probabilities, gold, "recall", value))[1] >= value
    try:
        threshold = pick_threshold(probabilities, gold, "precision", value)
    except InputError:
        assert all(at(p)[0] < value for p in probabilities)
    else:
        assert at(threshold)[0] >= value
        lower = [p for p in probabilities if p < threshold]
        assert all(at(p)[0] < value for p in lower)
    highest = pick_threshold(probabilities, gold, "recall", value)
    assert all(at(p)[1] < value for p in probabilities if p > highest)

    def cost(threshold):
        wrong = sum(not g for p, g in pairs if p >= threshold)
        return wrong + value * sum(g for p, g in pairs if p < threshold)

    least = min(cost(p) for p in [*probabilities, 2.0])
    if 1.0 not in probabilities:  # no threshold is above it
        assert cost(pick_threshold(probabilities, gold, "cost", value)) == pytest.approx(least)


@pytest.mark.parametrize("by, value", [("f1", 0.5), ("recall", -1.0), ("precision", float("nan"))])
def test_what_cannot_be_asked_for(by, value):
    with pytest.raises(InputError, match="picked by precision, recall or cost"):
        pick_threshold([0.5], [True], by, value)


def test_a_precision_that_nothing_reaches_names_the_best():
    with pytest.raises(InputError, match=r"precision of 0\.900; the best is 0\.500"):
        pick_threshold([0.9, 0.8], [False, True], "precision", 0.9)
