"""What was reported of other tools that fit probes, built again small."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from ullage.probes import logistic
from ullage.probes.logistic import Task, fit_logistic
from ullage.probes.methods import Way, train
from ullage.probes.probe import Reading
from ullage.probes.rows import ArrayRows

SITE = "blocks.0.hook_resid_post"
CHANCE = np.random.default_rng(0)
ROWS = CHANCE.normal(size=(400, 12))
LABELS = ROWS[:, 0] + CHANCE.normal(size=400) > 0
STATES = {
    "a value that never changes": np.c_[ROWS, np.full(400, 7.3), np.zeros(400)],
    "means of a million": ROWS + 1e6,
    "scales from 1e-8 to 1e8": ROWS * np.logspace(-8, 8, 12),
    "one value a thousand times the others": np.c_[ROWS, 3000 + 200 * CHANCE.normal(size=400)],
    "every value twice": np.c_[ROWS, ROWS],
    "one dialogue of label 1": ROWS,
}


@pytest.mark.parametrize("newton", [True, False])
@pytest.mark.parametrize("name", STATES)
def test_fits_reach_the_optimum_where_others_stop_early_or_divide_by_nothing(name, newton, monkeypatch):
    monkeypatch.setattr(logistic, "NEWTON_OPERATIONS", 10**15 if newton else 0)
    states = STATES[name].astype(np.float32)
    labels = np.arange(400) == 3 if name == "one dialogue of label 1" else LABELS
    (fit,) = fit_logistic(ArrayRows({SITE: states}, np.arange(400)), [Task((SITE,), 1.0, labels)])
    standard = StandardScaler().fit_transform(states.astype(np.float64))
    whole = LogisticRegression(C=1.0, tol=1e-12, max_iter=1000, solver="newton-cholesky")
    wanted = whole.fit(standard, labels).coef_[0]
    apart = np.linalg.norm(fit.weight - wanted) / np.linalg.norm(wanted)
    assert apart < 1e-3
    assert apart <= fit.bound + 1e-5


@pytest.mark.parametrize("flipped", [False, True])
@pytest.mark.parametrize("method", ["logistic", "difference", "adjusted", "lat"])
def test_label_1_scores_higher_whichever_it_is(method, flipped):
    labels = (np.arange(400) % 2 == 1) ^ flipped
    states = {SITE: (ROWS + 2 * labels[:, None]).astype(np.float32)}
    rows = ArrayRows(states, np.arange(400), "mean")
    (made,) = train(
        rows, [Task((SITE,), 1.0, labels)], Way(method, Reading("mean"), pair=np.arange(400) // 2)
    )
    scores = made.probe.tokens(states[SITE])
    assert scores[labels].mean() > scores[~labels].mean()


def test_states_are_standardised_by_what_was_fitted_to_alone():
    kept = np.arange(400) < 200
    states = {SITE: np.where(kept[:, None], ROWS, 1e4 + 50 * ROWS).astype(np.float32)}
    rows = ArrayRows(states, np.arange(400)).of(kept)
    (made,) = train(rows, [Task((SITE,), 1.0, LABELS)], Way())
    assert made.probe.mean == pytest.approx(states[SITE][kept].astype(float).mean(0))
    assert made.probe.scale == pytest.approx(states[SITE][kept].astype(float).std(0))
