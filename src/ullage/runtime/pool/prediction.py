"""What will be asked for next, judged by what was."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import TypeAlias

Predictor: TypeAlias = Callable[[Sequence[str]], Mapping[str, float]]
"""From the roles that were lent, the latest last, to how likely each is to be next."""


def last_used(history: Sequence[str]) -> dict[str, float]:
    """Who was used last is asked for next, then the one before: 1, 1/2, 1/3, ... scaled to a sum of 1."""
    order = list(dict.fromkeys(reversed(history)))
    weights = {name: 1.0 / rank for rank, name in enumerate(order, 1)}
    total = sum(weights.values())
    return {name: weight / total for name, weight in weights.items()}


def transitions(history: Sequence[str]) -> dict[str, float]:
    """How often each role came after the one that was used last, of all that came after it."""
    if not history:
        return {}
    after = Counter(nxt for one, nxt in pairwise(history) if one == history[-1])
    return {name: count / after.total() for name, count in after.items()}
