"""Fits from stored states are those in memory, and read no more than they must."""

import json

import made_states as made
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler

from ullage.errors import InputError
from ullage.probes import logistic
from ullage.probes.dialogues import match
from ullage.probes.labels import read_labels
from ullage.probes.logistic import Task, fit_logistic
from ullage.probes.methods import RIDGE, Way, train
from ullage.probes.probe import Probe, Reading, aggregated
from ullage.probes.rows import ArrayRows, Held

TOKENS = Reading()


@pytest.fixture
def stored(tmp_path):
    def make(rows=300, hidden=12, layers=2, strength=1.0, **settings):
        states, labels, whose = made.separable(rows, hidden, layers=layers, strength=strength)
        store = made.save(tmp_path / "run", states, **settings)
        file = tmp_path / "labels.jsonl"
        file.write_text("".join(json.dumps(each) + "\n" for each in made.records(labels)))
        return match(read_labels(file), store, list(states), str(file)), states, labels, whose

    return make


def in_memory(states, labels, strength, intercept=True):
    rows = StandardScaler().fit_transform(states.astype(np.float64))
    fit = LogisticRegression(C=1 / strength, tol=1e-10, max_iter=10_000, fit_intercept=intercept)
    return rows, fit.fit(rows, labels)


@pytest.mark.parametrize("newton", [True, False])
@pytest.mark.parametrize("strength", [0.1, 10.0])
def test_a_streamed_fit_is_scikit_learns_optimum(stored, newton, strength, monkeypatch):
    if not newton:
        monkeypatch.setattr(logistic, "NEWTON_OPERATIONS", 0)
    dialogues, states, labels, whose = stored()
    rows = dialogues.rows(TOKENS)
    assert len(dialogues.store.files) > 1
    for name, held in states.items():
        (fit,) = fit_logistic(rows, [Task((name,), strength, labels)])
        standard, wanted = in_memory(held, labels[whose], strength)
        weight = wanted.coef_[0]
        apart = np.linalg.norm(fit.weight - weight) / np.linalg.norm(weight)
        assert apart < 1e-3
        assert apart <= fit.bound + 1e-5
        scores = standard @ fit.weight + fit.intercept
        assert roc_auc_score(labels[whose], scores) == pytest.approx(
            roc_auc_score(labels[whose], wanted.decision_function(standard)), abs=1e-4
        )


def test_joined_layers_and_no_intercept_are_scikit_learns_too(stored):
    dialogues, states, labels, whose = stored()
    group = tuple(states)
    (fit,) = fit_logistic(dialogues.rows(TOKENS), [Task(group, 1.0, labels)], intercept=False)
    _, wanted = in_memory(np.concatenate(list(states.values()), 1), labels[whose], 1.0, intercept=False)
    assert np.linalg.norm(fit.weight - wanted.coef_[0]) < 1e-3 * np.linalg.norm(fit.weight)
    assert fit.intercept == 0


def test_a_sweep_over_layers_and_lambdas_reads_little_more_than_one_fit(stored, monkeypatch):
    monkeypatch.setattr("ullage.probes.logistic.NEWTON_OPERATIONS", 0)
    dialogues, states, labels, _ = stored(layers=8, hidden=8)

    def read(sites):
        rows = dialogues.rows(TOKENS)
        object.__setattr__(rows, "held", Held(room=0))
        tasks = [Task((name,), strength, labels) for name in sites for strength in (1.0, 10.0)]
        fit_logistic(rows, tasks)
        return rows.held.bytes_read / len(sites)

    assert read(list(states)) <= 3 * read(list(states)[:1])


def test_what_is_small_is_read_once(stored):
    dialogues, states, labels, _ = stored()
    rows = dialogues.rows(TOKENS)
    fit_logistic(rows, [Task((name,), 1.0, labels) for name in states])
    assert rows.held.bytes_read == sum(each.nbytes for each in states.values())


@pytest.mark.parametrize("method", ["difference", "adjusted"])
def test_differences_of_means_are_those_of_arrays(stored, method):
    dialogues, states, labels, whose = stored()
    for name, held in states.items():
        (found,) = train(dialogues.rows(TOKENS), [Task((name,), 0.0, labels)], Way(method))
        rows, truth = held.astype(np.float64), labels[whose]
        zero, one = rows[~truth], rows[truth]
        wanted = one.mean(0) - zero.mean(0)
        if method == "adjusted":
            within = (zero - zero.mean(0)).T @ (zero - zero.mean(0)) + (one - one.mean(0)).T @ (
                one - one.mean(0)
            )
            within /= len(rows)
            within += np.eye(len(wanted)) * RIDGE * np.trace(within) / len(wanted)
            wanted = np.linalg.solve(within, wanted)
        assert found.probe.tensors["weight"] == pytest.approx(wanted, rel=1e-6)
        middle = (one.mean(0) + zero.mean(0)) / 2
        assert found.probe.tokens(middle[None])[0] == pytest.approx(0, abs=1e-9)


def test_lat_is_the_first_component_of_paired_differences():
    states, _, _ = made.separable(200, 6, tokens=1)
    rows = states[made.site(0)]
    labels, pair = np.arange(200) % 2 == 1, np.arange(200) // 2
    way = Way("lat", Reading("mean"), pair=pair)
    (found,) = train(ArrayRows(states, np.arange(200), "mean"), [Task((made.site(0),), 0.0, labels)], way)
    differences = rows[1::2].astype(np.float64) - rows[::2]
    wanted = np.linalg.svd(differences, full_matrices=False)[2][0]
    assert abs(wanted @ found.probe.tensors["weight"]) == pytest.approx(1, abs=1e-9)
    assert (rows[labels].mean(0) - rows[~labels].mean(0)) @ found.probe.tensors["weight"] > 0


@pytest.mark.parametrize("method", ["mlp", "attention"])
def test_networks_learn_and_say_seed_epochs_and_loss(stored, method):
    dialogues, states, labels, _ = stored(strength=6.0, layers=1)
    rows = dialogues.rows(TOKENS)
    kept = np.arange(len(labels)) % 3 > 0
    reading = Reading(aggregation="attention" if method == "attention" else "mean")
    way = Way(method, reading, seed=3, epochs=10, held_back=rows.of(~kept))
    first, again = (train(rows.of(kept), [Task(tuple(states), 1.0, labels)], way)[0] for _ in range(2))
    assert first.notes["seed"] == 3
    assert 0 < first.notes["epochs"] <= 10
    assert first.notes["validation_loss"] < 0.6
    assert first.probe.tensors["weight"] == pytest.approx(again.probe.tensors["weight"])
    (block,) = rows.blocks([tuple(states)], whole=True)
    scores = first.probe.dialogues(block.states, block.begins)
    assert roc_auc_score(labels, scores) > 0.95


def test_rows_are_tokens_their_mean_or_the_last_and_the_first_may_be_left_out(stored):
    dialogues, states, _, whose = stored(rows=50)
    name = made.site(0)
    held = states[name].astype(np.float64)
    (block,) = dialogues.rows(Reading("mean")).blocks([(name,)])
    assert block.states == pytest.approx(np.stack([held[whose == d].mean(0) for d in range(10)]))
    (block,) = dialogues.rows(Reading("last")).blocks([(name,)])
    assert block.states == pytest.approx(held[4::5])
    (block,) = dialogues.rows(Reading(skip_first=2)).blocks([(name,)])
    assert block.states == pytest.approx(held[np.arange(50) % 5 >= 2])
    (block,) = dialogues.rows(Reading(skip_first=9)).blocks([(name,)])
    assert len(block.states) == 50


def test_scores_of_tokens_become_one_a_dialogue():
    scores, begins = np.array([1.0, 5.0, 0.0, 4.0, 4.0, -1.0]), np.array([0, 4])
    assert list(aggregated(scores, begins, Reading(aggregation="mean"))) == [2.5, 1.5]
    assert list(aggregated(scores, begins, Reading(aggregation="max"))) == [5.0, 4.0]
    assert list(aggregated(scores, begins, Reading(aggregation="last"))) == [4.0, -1.0]
    assert list(aggregated(scores, begins, Reading(aggregation="rolling", window=2))) == [3.0, 1.5]


def test_states_that_are_no_numbers_are_named_with_file_and_row(stored, tmp_path):
    states, labels, _ = made.separable(300, 12)
    states[made.site(0)][137, 3] = np.nan
    store = made.save(tmp_path / "nan", states)
    file = tmp_path / "labels.jsonl"
    file.write_text("".join(json.dumps(each) + "\n" for each in made.records(labels)))
    rows = match(read_labels(file), store, list(states), str(file)).rows(TOKENS)
    with pytest.raises(
        InputError, match=r"\.safetensors: row \d+ of blocks.0.hook_resid_post \(record '27'\)"
    ):
        fit_logistic(rows, [Task(tuple(states), 1.0, labels)])


def test_tensors_of_another_shape_are_no_probe():
    one, two = np.ones(3), np.ones(2)
    with pytest.raises(InputError, match="weight of a probe of 3 values"):
        Probe("linear", ("a",), 3, one, one, {"weight": two}, 0.0, TOKENS)
    with pytest.raises(InputError, match="NaN"):
        Probe("linear", ("a",), 3, one, one, {"weight": one * np.nan}, 0.0, TOKENS)
