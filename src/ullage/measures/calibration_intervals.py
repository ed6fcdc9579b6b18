"""How far a temperature and a calibration error could have come out otherwise, by resamples."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from ullage.errors import MissingExtraError
from ullage.measures.bootstrap import RESAMPLES, interval, resamples
from ullage.measures.calibration import BINS, COLDEST, HOTTEST

if TYPE_CHECKING:
    from ullage.measures.bootstrap import Floats

FITS: Final = 200
"""Resamples a temperature is fitted to: enough for an interval of 95 %, each some milliseconds."""


def temperature_interval(
    margins: Sequence[float], labels: Sequence[bool], groups: Sequence[int], seed: int = 0
) -> tuple[float, float]:
    """Of 95 %, over resamples of groups (0, 1, ...): what stands in one text is drawn together."""
    try:
        import numpy as np
        from scipy.optimize import minimize_scalar
    except ImportError as error:
        raise MissingExtraError("scipy", "pii", "fitting a temperature") from error

    signed = np.where(np.asarray(labels), -1.0, 1.0) * np.asarray(margins, dtype=float)
    place, bounds = np.asarray(groups), (math.log(COLDEST), math.log(HOTTEST))
    found: list[float] = []
    for drawn in resamples(np.ones(int(place.max()) + 1), FITS, seed):
        for weights in drawn[:, place]:

            def loss(log_temperature: float, weights: Floats = weights) -> float:
                scaled = signed * math.exp(-log_temperature)
                return float(np.dot(weights, np.logaddexp(0.0, scaled)))

            found.append(math.exp(float(minimize_scalar(loss, bounds=bounds, method="bounded").x)))
    return interval(np.asarray(found))


def error_interval(
    probabilities: Sequence[float], labels: Sequence[bool], groups: Sequence[int], seed: int = 0
) -> tuple[float, float]:
    """Of 95 % for an expected calibration error in ten bins, over resamples of groups (0, 1, ...)."""
    import numpy as np

    chance, place = np.asarray(probabilities, dtype=float), np.asarray(groups)
    bins = np.minimum((chance * BINS).astype(int), BINS - 1)
    gaps = np.zeros((len(chance), BINS))
    gaps[np.arange(len(chance)), bins] = chance - np.asarray(labels, dtype=float)
    found: list[Floats] = []
    for drawn in resamples(np.ones(int(place.max()) + 1), RESAMPLES, seed):
        weights = drawn[:, place]
        found.append(np.abs(weights @ gaps).sum(axis=1) / np.maximum(weights.sum(axis=1), 1.0))
    return interval(np.concatenate(found))
