"""Where to draw the line: the threshold that gives what a user needs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from ullage.errors import InputError


def pick_threshold(
    probabilities: Sequence[float],
    labels: Sequence[bool],
    by: Literal["precision", "recall", "cost"],
    value: float,
) -> float:
    """The threshold that reaches `value`, or the least cost where a false alarm costs 1 and a miss `value`.

    For a precision the lowest threshold that reaches it, so that recall is largest; for a recall the highest.
    Raises InputError where no threshold does.
    """
    if by not in ("precision", "recall", "cost") or not 0 <= value < math.inf:
        raise InputError(f"a threshold is picked by precision, recall or cost, not by {by} {value}")
    order = sorted(zip(probabilities, labels, strict=True), reverse=True)
    positives = sum(labels)
    found: list[tuple[float, float, float, float]] = []  # threshold, precision, recall, cost
    hits = 0
    for taken, (probability, label) in enumerate(order, 1):
        hits += label
        if taken < len(order) and order[taken][0] == probability:
            continue  # those of equal probability are on one side together
        cost = (taken - hits) + value * (positives - hits)
        found.append((probability, hits / taken, hits / max(positives, 1), cost))
    if by == "cost":
        found.append((min(math.nextafter(order[0][0], 2.0), 1.0), 0.0, 0.0, value * positives))
        return min(found, key=lambda row: (row[3], -row[0]))[0]
    column = 1 if by == "precision" else 2
    reaching = [row[0] for row in found if row[column] >= value]
    if not reaching:
        best = max(row[column] for row in found)
        raise InputError(f"no threshold reaches a {by} of {value:.3f}; the best is {best:.3f}")
    return min(reaching) if by == "precision" else max(reaching)


def threshold_at(rate: float, scores: Sequence[float]) -> float:
    """The least threshold that flags at most a share `rate` of `scores`: what is as large as it, or larger.

    Of equal scores all are flagged or none. Raises InputError for a rate outside 0 to 1, and for no scores.
    """
    if not 0 <= rate <= 1:
        raise InputError(f"a false-positive rate is between 0 and 1, not {rate}")
    if not scores:
        raise InputError("a threshold is calibrated on scores, and there are none")
    order = sorted(scores, reverse=True)
    allowed = math.floor(rate * len(order) + 1e-9)
    return order[-1] if allowed >= len(order) else math.nextafter(order[allowed], math.inf)
