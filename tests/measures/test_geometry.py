"""Analyses against their definitions, laws and known cases."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ullage.errors import InputError
from ullage.measures.geometry import (
    compression,
    effective_dimension,
    hoyer_sparsity,
    layer_cosine,
    nearest_neighbours,
    neighbours_of,
    norms,
    participation_ratio,
    sparsity,
    spectrum,
)

SEEDS = st.integers(0, 10_000)


def normal(seed, rows, hidden):
    return np.random.default_rng(seed).normal(size=(rows, hidden))


@settings(max_examples=40, deadline=None)
@given(SEEDS, st.integers(2, 40), st.integers(2, 40))
def test_dimensions_do_not_depend_on_basis_or_on_the_length_of_rows(seed, rows, hidden):
    states = normal(seed, rows, hidden)
    rotation, _ = np.linalg.qr(normal(seed + 1, hidden, hidden))
    scaled = states * np.random.default_rng(seed).uniform(0.1, 9, (rows, 1))
    assert effective_dimension(states @ rotation) == effective_dimension(states)
    assert effective_dimension(scaled) == effective_dimension(states)
    assert participation_ratio(scaled @ rotation) == pytest.approx(participation_ratio(states))


@settings(max_examples=40, deadline=None)
@given(SEEDS, st.integers(3, 60), st.integers(2, 60))
def test_definition_by_singular_values(seed, rows, hidden):
    states = normal(seed, rows, hidden) * np.linspace(3, 0.1, hidden)
    unit = states / np.linalg.norm(states, axis=1, keepdims=True)
    variances = np.linalg.svd(unit - unit.mean(0), compute_uv=False) ** 2
    shares = np.cumsum(variances) / variances.sum()
    assert effective_dimension(states) == int((shares < 0.9 - 1e-12).sum()) + 1
    assert participation_ratio(states) == pytest.approx(variances.sum() ** 2 / (variances**2).sum())
    assert 1 <= participation_ratio(states) <= min(rows, hidden) + 1e-9


def test_known_cases():
    axes = np.concatenate([np.eye(10), -np.eye(10)])
    assert effective_dimension(axes) == 9
    assert effective_dimension(axes, 1.0) == 10
    assert participation_ratio(axes) == pytest.approx(10)
    line = np.outer([1.0, -1.0, 1.0], [3.0, 4.0])
    assert effective_dimension(line) == 1
    assert compression(axes, np.concatenate([axes[:, :1], axes[:, 1:] * 1e-9], axis=1)[[0, 10, 0]]) == 9
    assert norms(np.array([[3.0, 4.0]])) == pytest.approx([5.0])
    assert sparsity(np.array([[0.0, 0.0, 0.001, 1.0]])) == pytest.approx([0.75])
    assert hoyer_sparsity(np.array([[0, 0, 2.0, 0], [1, -1, 1, 1.0]])) == pytest.approx([1.0, 0.0])


def test_blocks_of_rows_give_the_same_as_the_whole(monkeypatch):
    from ullage.measures import geometry

    states = normal(0, 50, 8)
    layers = [states, states + normal(1, 50, 8)]
    whole = spectrum(states).variances, layer_cosine(layers), nearest_neighbours(states, 5).indices
    monkeypatch.setattr(geometry, "BLOCK_ROWS", 12)
    assert np.allclose(spectrum(states).variances, whole[0])
    assert np.allclose(layer_cosine(layers), whole[1])
    assert (nearest_neighbours(states, 5).indices == whole[2]).all()


@settings(max_examples=40, deadline=None)
@given(SEEDS, st.integers(3, 30), st.integers(1, 6), st.integers(1, 5))
def test_neighbours_are_those_of_brute_force(seed, rows, hidden, k):
    states = normal(seed, rows, hidden)
    k = min(k, rows - 1)
    unit = states / np.linalg.norm(states, axis=1, keepdims=True)
    similar = unit @ unit.T
    found = nearest_neighbours(states, k)
    for row in range(rows):
        others = [index for index in range(rows) if index != row]
        best = sorted((similar[row, index] for index in others), reverse=True)[:k]
        assert found.cosines[row] == pytest.approx(best)
        assert row not in found.indices[row]
    queried = nearest_neighbours(states, 1, states)
    assert queried.cosines[:, 0] == pytest.approx(np.ones(rows))


def test_the_neighbours_of_one_row_are_others():
    states = normal(3, 12, 4)
    whole = nearest_neighbours(states, 5)
    for row in range(12):
        found = neighbours_of(states, row, 5)
        assert found.indices[0].tolist() == whole.indices[row].tolist()
        np.testing.assert_allclose(found.cosines[0], whole.cosines[row])
    for row, k, wrong in ((12, 1, "12 rows"), (-1, 1, "12 rows"), (0, 12, "11 other rows"), (0, 0, "k is 0")):
        with pytest.raises(InputError, match=wrong):
            neighbours_of(states, row, k)


def test_equal_neighbours_come_by_their_index():
    states = np.array([[1.0, 0], [2.0, 0], [0, 1.0], [3.0, 0]])
    assert nearest_neighbours(states, 2).indices[1].tolist() == [0, 3]


def test_cosine_between_layers():
    states = normal(0, 20, 6)
    cosines = layer_cosine([states, 2 * states, -states])
    assert cosines == pytest.approx(np.array([[1, 1, -1], [1, 1, -1], [-1, -1, 1.0]]))


def test_half_precision_and_tensors_are_understood():
    import torch

    states = normal(0, 30, 8)
    exact = effective_dimension(states)
    assert effective_dimension(states.astype(np.float16)) == exact
    assert effective_dimension(torch.tensor(states, dtype=torch.bfloat16)) in (exact - 1, exact, exact + 1)


@pytest.mark.parametrize(
    ("states", "wrong"),
    [
        (np.zeros((0, 4)), "empty"),
        (np.ones(4), "not a float array"),
        (np.ones((3, 4), dtype=int), "not a float array"),
        (np.array([[1.0, 2], [np.nan, 1]]), "row 1 holds NaN"),
        (np.array([[1.0, 2], [0, 0], [3, 4]]), "row 1 is all zeros"),
        (np.ones((1, 4)), "two at least"),
    ],
)
def test_states_without_a_dimension_say_why(states, wrong):
    with pytest.raises(InputError, match=wrong):
        effective_dimension(states)


def test_other_mistakes():
    states = normal(0, 4, 3)
    with pytest.raises(InputError, match="3 rows to choose from"):
        nearest_neighbours(states, 4)
    with pytest.raises(InputError, match="columns"):
        nearest_neighbours(states, 1, normal(0, 2, 5))
    with pytest.raises(InputError, match="two layers"):
        layer_cosine([states])
    with pytest.raises(InputError, match="not the same rows"):
        layer_cosine([states, states[:2]])
    with pytest.raises(InputError, match="share"):
        effective_dimension(states, 2.0)
