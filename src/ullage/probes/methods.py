"""Ways of fitting a probe, each from the same rows and tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

from ullage.errors import InputError
from ullage.probes.logistic import Task, fit_logistic
from ullage.probes.moments import class_means, moments, paired_products
from ullage.probes.networks import EPOCHS, fit_network
from ullage.probes.probe import Form, Probe, Reading
from ullage.probes.rows import Group, Rows
from ullage.spec.fitting import Method

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ullage.probes.probe import Floats

RIDGE: Final = 1e-3
"""Of the mean variance, added to every variance of an adjusted difference: classes may have fewer rows than a
row has values."""


@dataclass(frozen=True, slots=True)
class Way:
    """How tasks are fitted. `pair` (dialogues,) names the pair of each, -1 none; `held_back` are rows that
    networks stop by; `intercept` is logistic regression's."""

    method: Method = "logistic"
    reading: Reading = field(default_factory=Reading)
    intercept: bool = True
    seed: int = 0
    epochs: int = EPOCHS
    pair: NDArray[np.int64] | None = None
    held_back: Rows | None = None


@dataclass(frozen=True, slots=True)
class Trained:
    """A probe, and what its fit was like: passes and bound, or seed, epochs and validation loss."""

    probe: Probe
    notes: Mapping[str, float]


def train(rows: Rows, tasks: Sequence[Task], way: Way) -> list[Trained]:
    """A probe for each task; tasks share passes. Every task needs dialogues of both labels."""
    if way.method == "logistic":
        fits = fit_logistic(rows, tasks, intercept=way.intercept)
        return [
            _trained(
                task,
                way,
                "linear",
                (fit.moments.mean, fit.moments.scale),
                {"weight": fit.weight},
                fit.intercept,
                {"passes": fit.passes, "bound": fit.bound},
            )
            for task, fit in zip(tasks, fits, strict=True)
        ]
    if way.method in ("mlp", "attention"):
        return [_network(rows, task, way) for task in tasks]
    found: dict[int, Trained] = {}
    for group in dict.fromkeys(task.sites for task in tasks):
        which = [at for at, task in enumerate(tasks) if task.sites == group]
        directions = _directions(rows, group, [tasks[at] for at in which], way)
        found |= dict(zip(which, directions, strict=True))
    return [found[at] for at in range(len(tasks))]


def _trained(
    task: Task,
    way: Way,
    form: Form,
    scaler: tuple[Floats, Floats],
    tensors: Mapping[str, Floats],
    intercept: float,
    notes: Mapping[str, float],
) -> Trained:
    hidden = len(scaler[0]) // len(task.sites)
    return Trained(Probe(form, task.sites, hidden, *scaler, tensors, intercept, way.reading), notes)


def _network(rows: Rows, task: Task, way: Way) -> Trained:
    if way.held_back is None:
        raise InputError(f"{way.method}: needs dialogues that are held back, to stop by")
    form: Literal["mlp", "attention"] = "mlp" if way.method == "mlp" else "attention"
    fit = fit_network(rows, way.held_back, task, form, way.seed, way.epochs)
    if not fit.epochs:
        raise InputError(f"{way.method}: its loss is no number from the first epoch on; see to the states")
    notes = {"seed": way.seed, "epochs": fit.epochs, "validation_loss": fit.validation_loss}
    scaler = fit.moments.mean, fit.moments.scale
    return _trained(task, way, form, scaler, fit.tensors, fit.intercept, notes)


def _directions(rows: Rows, group: Group, tasks: Sequence[Task], way: Way) -> list[Trained]:
    """Directions of raw rows, scores 0 midway between the class means. One layer at a time: what is held of
    its spread is (width, width)."""
    import numpy as np

    labels = np.stack([task.labels for task in tasks])
    ((zero, one),) = class_means(rows, [group], labels)
    if way.method == "difference":
        weights = one - zero
    elif way.method == "adjusted":
        weights = _adjusted(rows, group, labels, one - zero)
    else:
        weights = _first_component(rows, group, one - zero, way)
    notes = {"passes": 1.0 if way.method == "difference" else 2.0}
    one_each = np.ones(rows.width(group))
    return [
        _trained(task, way, "linear", ((low + high) / 2, one_each), {"weight": weight}, 0.0, notes)
        for task, low, high, weight in zip(tasks, zero, one, weights, strict=True)
    ]


def _adjusted(rows: Rows, group: Group, labels: NDArray[np.bool_], apart: Floats) -> Floats:
    """Differences (labelings, width) times the inverse covariance within classes, with RIDGE.

    Marks and Tegmark 2023, The Geometry of Truth, arXiv:2310.06824, section 4.1 (as Fisher's discriminant).
    """
    import numpy as np

    (spread,) = moments(rows, [group], products=True)
    assert spread.products is not None
    shares = labels[:, rows.dialogue].mean(axis=1)
    found = []
    for difference, share in zip(apart, shares, strict=True):
        within = spread.products / spread.count - share * (1 - share) * np.outer(difference, difference)
        within[np.diag_indices(len(within))] += RIDGE * np.trace(within) / len(within)
        found.append(np.linalg.solve(within, difference))
    return np.stack(found)


def _first_component(rows: Rows, group: Group, apart: Floats, way: Way) -> Floats:
    """The first principal component of differences within pairs, (labelings, width), pointing to label 1.

    Zou et al. 2023, Representation Engineering, arXiv:2310.01405, section 3.1: differences of either sign, so
    that their mean is none.
    """
    import numpy as np

    if way.pair is None or way.reading.rows == "tokens":
        raise InputError(
            "lat: takes pairs (a statement under two instructions, or `pair` of a dialogue), and one row of "
            "each: rows mean or last"
        )
    ((products, count),) = paired_products(rows, [group], way.pair)
    if not count:
        raise InputError("lat: no pair has both of its dialogues among those that are fitted to")
    component = np.linalg.eigh(products)[1][:, -1]
    return np.stack([component * (1 if component @ each >= 0 else -1) for each in apart])
