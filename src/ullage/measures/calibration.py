"""Probabilities that mean what they say: how far they do, and the temperature that makes them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from ullage.errors import MissingExtraError

BINS: Final = 10
COLDEST, HOTTEST = 0.02, 50.0
"""Temperatures that are looked at; a fit at the edge says that the margins say nothing."""


@dataclass(frozen=True, slots=True)
class Bin:
    """Mean probability of a bin, the share of it that is positive, and how many are in it."""

    probability: float
    positive: float
    count: int


class Bins:
    """Probability against frequency of the positive class, in bins of equal width, filled one by one."""

    def __init__(self, bins: int = BINS) -> None:
        self._sums, self._hits, self._counts = [0.0] * bins, [0] * bins, [0] * bins

    def add(self, probability: float, label: bool) -> None:
        place = min(int(probability * len(self._sums)), len(self._sums) - 1)
        self._sums[place] += probability
        self._hits[place] += label
        self._counts[place] += 1

    @property
    def rows(self) -> list[Bin]:
        """The bins that hold anything, from the least probable."""
        return [
            Bin(total / count, hits / count, count)
            for total, hits, count in zip(self._sums, self._hits, self._counts, strict=True)
            if count
        ]

    @property
    def error(self) -> float | None:
        """Expected calibration error: the mean gap between probability and frequency of the positive class,
        each bin weighted by what it holds; None where nothing was added.

        Naeini, Cooper and Hauskrecht 2015, Obtaining Well Calibrated Probabilities Using Bayesian Binning;
        Guo et al. 2017, On Calibration of Modern Neural Networks, arXiv:1706.04599.
        """
        count = sum(self._counts)
        gaps = (abs(total - hits) for total, hits in zip(self._sums, self._hits, strict=True))
        return math.fsum(gaps) / count if count else None


def calibration_error(probabilities: Iterable[float], labels: Iterable[bool], bins: int = BINS) -> float:
    """The expected calibration error of `Bins`; 0 where there are no labels."""
    found = Bins(bins)
    for probability, label in zip(probabilities, labels, strict=True):
        found.add(probability, label)
    return found.error or 0.0


def probability(margin: float, temperature: float = 1.0) -> float:
    """Of the positive class, from how much likelier it is in nats; `temperature` divides the margin."""
    return 1 / (1 + math.exp(-max(-700.0, min(700.0, margin / temperature))))


def fit_temperature(margins: Sequence[float], labels: Sequence[bool]) -> float:
    """The temperature under which the labels are likeliest (Guo et al. 2017, section 4.2)."""
    try:
        from scipy.optimize import minimize_scalar
    except ImportError as error:
        raise MissingExtraError("scipy", "pii", "fitting a temperature") from error

    def loss(log_temperature: float) -> float:
        scale = math.exp(-log_temperature)
        return math.fsum(
            _softplus(-margin * scale if label else margin * scale)
            for margin, label in zip(margins, labels, strict=True)
        )

    bounds = (math.log(COLDEST), math.log(HOTTEST))
    return math.exp(float(minimize_scalar(loss, bounds=bounds, method="bounded").x))


def _softplus(value: float) -> float:
    return value + math.log1p(math.exp(-value)) if value > 0 else math.log1p(math.exp(value))
