"""Logistic regression over rows read block by block: the optimum itself, many fits in shared passes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ullage.probes.descent import Descent
from ullage.probes.moments import Moments, moments
from ullage.probes.rows import Block, Group, Rows

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ullage.probes.probe import Floats

CLOSE: Final = 5e-4
"""How far weights may be from the optimum's, as a share of its length: proven, not hoped (see `Descent`)."""
MOST_PASSES: Final = 500
NEWTON_BYTES: Final = 256 * 2**20
NEWTON_OPERATIONS: Final = 10**11
"""Of a pass: about two seconds of two cores, which L-BFGS needs many more passes to save."""


@dataclass(frozen=True, slots=True)
class Task:
    """One fit: sites, lambda, and a label for each dialogue, (dialogues,)."""

    sites: Group
    strength: float
    labels: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Fitted:
    """Weights (width,) of standardised rows, and their intercept; `passes` over the rows until it was done.

    `bound` is how far the weights can be from the optimum's at most, as a share of their length.
    """

    weight: Floats
    intercept: float
    moments: Moments
    passes: int
    bound: float


def fit_logistic(
    rows: Rows, tasks: Sequence[Task], *, intercept: bool = True, most_passes: int = MOST_PASSES
) -> list[Fitted]:
    """Each task's least sum of log losses plus lambda / 2 times the squared weights, as scikit-learn's
    LogisticRegression with C = 1 / lambda on StandardScaler's rows. The intercept is not held small.

    All tasks share passes: one for means and spread, then one an evaluation of those that are not done.
    Memory is a block and O(width) a task.
    """
    import numpy as np

    groups = list(dict.fromkeys(task.sites for task in tasks))
    spread = moments(rows, groups)
    widths = [rows.width(task.sites) for task in tasks]
    descents = [
        Descent(np.zeros(width + 1), task.strength, CLOSE) for task, width in zip(tasks, widths, strict=True)
    ]
    newton = newton_pays(len(rows.dialogue), widths)
    passes = [1] * len(tasks)
    for count in range(2, most_passes + 1):
        left = [at for at, descent in enumerate(descents) if not descent.done]
        if not left:
            break
        needed = [group for group in groups if any(tasks[at].sites == group for at in left)]
        told = []
        for group in needed:
            which = [at for at in left if tasks[at].sites == group]
            parts = [tasks[at] for at in which], [descents[at].point for at in which]
            told.append((which, _Evaluation(*parts, spread[groups.index(group)], newton)))
        for block in rows.blocks(needed):
            told[block.group][1].add(block)
        for which, evaluation in told:
            for place, at in enumerate(which):
                descents[at].tell(*evaluation.result(place, intercept))
                passes[at] = count
    return [
        Fitted(d.point[:-1], float(d.point[-1]), spread[groups.index(task.sites)], count, d.bound)
        for task, d, count in zip(tasks, descents, passes, strict=True)
    ]


def newton_pays(rows: int, widths: Sequence[int]) -> bool:
    """Whether Hessians, (width + 1, width + 1) a task, are worth it: few passes, each of rows x width^2."""
    squares = sum((width + 1) ** 2 for width in widths)
    return 8 * squares <= NEWTON_BYTES and 2 * squares * rows <= NEWTON_OPERATIONS


class _Evaluation:
    """Losses (tasks,), gradients and, for Newton, Hessians of the tasks of one group, summed over blocks.

    Rows are centred in float32, and their scale is folded into weights and gradients; sums are float64.
    """

    def __init__(
        self, tasks: Sequence[Task], points: Sequence[Floats], spread: Moments, newton: bool
    ) -> None:
        import numpy as np

        self._strength = [task.strength for task in tasks]
        self._labels = np.stack([task.labels for task in tasks])
        self._points = np.stack(points)
        self._mean = spread.mean.astype(np.float32)
        # What rounding the mean leaves of it goes into the intercept.
        folded = self._points[:, :-1] / spread.scale
        self._weights = folded.T.astype(np.float32)
        self._intercepts = self._points[:, -1] - folded @ (spread.mean - self._mean)
        self._left, self._scale = spread.mean - self._mean, spread.scale
        self._losses, self._sums = np.zeros(len(tasks)), np.zeros(len(tasks))
        self._products = np.zeros(folded.shape)
        self._hessians = np.zeros((len(tasks), *[self._points.shape[1]] * 2)) if newton else None

    def add(self, block: Block) -> None:
        """Rows of this group."""
        import numpy as np

        states = np.subtract(block.states, self._mean, dtype=np.float32)
        signs = np.where(self._labels[:, block.dialogue].T, 1.0, -1.0)
        margins = signs * (states @ self._weights + self._intercepts)
        self._losses += np.logaddexp(0.0, -margins).sum(axis=0)
        wrong = np.exp(-np.logaddexp(0.0, margins))  # exp(-m) / (1 + exp(-m)), without overflow
        residuals = -signs * wrong
        self._products += residuals.T.astype(np.float32) @ states
        self._sums += residuals.sum(axis=0)
        if self._hessians is None:
            return
        standard = np.append(states / self._scale, np.ones((len(states), 1)), axis=1)
        for hessian, curved in zip(self._hessians, (wrong * (1 - wrong)).T, strict=True):
            scaled = standard * np.sqrt(curved)[:, None]
            hessian += scaled.T @ scaled

    def result(self, task: int, intercept: bool) -> tuple[float, Floats, Floats | None]:
        """Loss, gradient (width + 1,) and Hessian (width + 1, width + 1) of a task, with what holds weights
        small."""
        import numpy as np

        held = np.append(self._points[task, :-1], 0.0)
        loss = float(self._losses[task] + self._strength[task] / 2 * (held @ held))
        products = (self._products[task] - self._left * self._sums[task]) / self._scale
        gradient = np.append(products, self._sums[task]) + self._strength[task] * held
        hessian = None if self._hessians is None else self._hessians[task]
        if hessian is not None:
            hessian[np.diag_indices(len(held) - 1)] += self._strength[task]
            hessian[-1, -1] += 1e-9  # of rows that are all but certain of their labels
        if not intercept:
            gradient[-1] = 0.0
            if hessian is not None:
                hessian[-1], hessian[:, -1], hessian[-1, -1] = 0.0, 0.0, 1.0
        return loss, gradient, hessian
