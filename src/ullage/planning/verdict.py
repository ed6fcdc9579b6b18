"""Whether it fits: the high value against the bytes a device really offers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

Verdict = Literal["fits", "tight", "does not fit"]

ORDER: tuple[Verdict, ...] = ("fits", "tight", "does not fit")


def verdict_of(high: int, usable: int | None, budget: int | None) -> Verdict:
    """fits within the budget, tight where it eats into the reserve, else does not fit."""
    if usable is None or budget is None or high <= budget:
        return "fits"
    return "tight" if high <= usable else "does not fit"


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """The verdict of the whole is that of its worst device."""
    return max(verdicts, key=ORDER.index, default="fits")
