"""How far judges agree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TypeVar

Label = TypeVar("Label", int, str)


def cohens_kappa(one: Sequence[str], other: Sequence[str]) -> float | None:
    """Agreement of two judges beyond chance; None where chance alone already agrees always."""
    return kappa(Counter(zip(one, other, strict=True)))


def kappa(pairs: Mapping[tuple[Label, Label], int]) -> float | None:
    """Agreement of two judges beyond chance, from how often each pair of their labels is given; None where
    chance alone already agrees always.

    Cohen 1960, A Coefficient of Agreement for Nominal Scales.
    """
    count = sum(pairs.values())
    if not count:
        return None
    firsts, seconds = dict[Label, int](), dict[Label, int]()
    for (first, second), times in pairs.items():
        firsts[first] = firsts.get(first, 0) + times
        seconds[second] = seconds.get(second, 0) + times
    agreed = sum(times for (a, b), times in pairs.items() if a == b) / count
    chance = sum((times / count) * (seconds.get(label, 0) / count) for label, times in firsts.items())
    return None if chance == 1 else (agreed - chance) / (1 - chance)
