"""How far judges agree."""

from __future__ import annotations

from collections.abc import Sequence


def cohens_kappa(one: Sequence[str], other: Sequence[str]) -> float | None:
    """Agreement of two judges beyond chance; None where chance alone already agrees always.

    Cohen 1960, A Coefficient of Agreement for Nominal Scales.
    """
    count = len(one)
    if not count:
        return None
    agreed = sum(a == b for a, b in zip(one, other, strict=True)) / count
    labels = {*one, *other}
    chance = sum((one.count(label) / count) * (other.count(label) / count) for label in labels)
    return None if chance == 1 else (agreed - chance) / (1 - chance)
