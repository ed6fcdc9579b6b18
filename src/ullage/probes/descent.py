"""A convex loss is led to its least point by whoever can compute it: many fits go through the same passes."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ullage.probes.probe import Floats

HISTORY: Final = 24
"""Steps that are remembered."""
ENOUGH: Final = 1e-4
"""Armijo's share of the promised decrease that a step must give."""
NOISE: Final = 1e-6
"""Of a loss that is summed from scores in float32."""
LEVEL: Final = 0.8
"""How steeply a step may rise again at its end, as a share of how it fell: the approximate Wolfe condition.

Hager and Zhang 2005, A New Conjugate Gradient Method with Guaranteed Descent and an Efficient Line Search,
SIAM J. Optim. 16."""
SMALLEST_STEP: Final = 1e-12


@dataclass(slots=True)
class Descent:
    """Newton's method or L-BFGS, turned inside out: compute loss and gradient at `point`, `tell` them (with
    the Hessian, where Newton is wanted), until `done`.

    Nocedal and Wright 2006, Numerical Optimization, algorithms 7.4 and 3.1. The loss is `convexity`-strongly
    convex in all coordinates but the last, which is an intercept. Then no least point is farther from a point
    than its gradient's length over `convexity`: `bound` is that over the length of the weights, and the
    descent is done when it is at most `close`.
    """

    point: Floats
    convexity: float
    close: float
    bound: float = float("inf")
    done: bool = False
    _at: Floats | None = None
    _loss: float = 0.0
    _gradient: Floats | None = None
    _direction: Floats | None = None
    _step: float = 1.0
    _steps: deque[tuple[Floats, Floats, float]] = field(default_factory=lambda: deque(maxlen=HISTORY))

    def tell(self, loss: float, gradient: Floats, hessian: Floats | None = None) -> None:
        """Loss and gradient at `point`; a new `point` is set, or the descent is done."""
        import numpy as np

        if self._at is None or self._gradient is None or self._direction is None:
            self._accept(loss, gradient, hessian)
            return
        slope = float(self._gradient @ self._direction)
        decreased = loss <= self._loss + ENOUGH * self._step * slope
        # Near the end decreases are smaller than what rounding leaves of the loss; slopes still tell.
        level = loss <= self._loss + NOISE * abs(self._loss)
        if decreased or (level and float(gradient @ self._direction) <= -LEVEL * slope):
            moved, turned = self.point - self._at, gradient - self._gradient
            product = float(moved @ turned)
            if product > 1e-14 * float(np.linalg.norm(moved) * np.linalg.norm(turned)):
                self._steps.append((moved, turned, 1 / product))
            self._accept(loss, gradient, hessian)
            return
        # The least point of the parabola through what is known, kept within reason.
        curved = loss - self._loss - slope * self._step
        shorter = -slope * self._step**2 / (2 * curved) if np.isfinite(curved) and curved > 0 else 0.0
        self._step = float(np.clip(shorter, 0.1 * self._step, 0.5 * self._step))
        if self._step < SMALLEST_STEP:
            self.point, self.done = self._at, True
            return
        self.point = self._at + self._step * self._direction

    def _accept(self, loss: float, gradient: Floats, hessian: Floats | None) -> None:
        import numpy as np

        self._at, self._loss, self._gradient = self.point, loss, gradient
        length = float(np.linalg.norm(self.point[:-1]))
        away = float(np.linalg.norm(gradient)) / self.convexity
        self.bound = away / length if length else float("inf") if away else 0.0
        if self.bound <= self.close or not np.any(gradient):
            self.done = True
            return
        if hessian is not None:
            self._direction = np.asarray(np.linalg.solve(hessian, -gradient), np.float64)
            self._step = 1.0
        else:
            self._direction = self._remembered(gradient)
            self._step = 1.0 if self._steps else min(1.0, 1 / float(np.linalg.norm(gradient)))
        self.point = self._at + self._step * self._direction

    def _remembered(self, gradient: Floats) -> Floats:
        """The quasi-Newton direction by two loops over the remembered steps."""
        import numpy as np

        found, shares = -gradient, []
        for moved, turned, inverse in reversed(self._steps):
            share = inverse * float(moved @ found)
            shares.append(share)
            found = found - share * turned
        if self._steps:
            moved, turned, inverse = self._steps[-1]
            found = found / (inverse * float(turned @ turned))
        for (moved, turned, inverse), share in zip(self._steps, reversed(shares), strict=True):
            found = found + (share - inverse * float(turned @ found)) * moved
        return np.asarray(found)
