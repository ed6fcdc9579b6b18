"""Agreement beyond chance."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from ullage.measures.agreement import cohens_kappa


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from("yn"), st.sampled_from("yn")), min_size=1, max_size=30))
def test_kappa_is_scikit_learns(pairs):
    one, other = (list(each) for each in zip(*pairs, strict=True))
    found = cohens_kappa(one, other)
    if found is None:
        assert len({*one, *other}) == 1
    else:
        assert found == pytest.approx(cohen_kappa_score(one, other, labels=["y", "n"]))


def test_nobody_agrees_on_nothing():
    assert cohens_kappa([], []) is None
