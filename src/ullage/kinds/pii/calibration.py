"""Probabilities that mean what they say, and the threshold that gives what a user needs."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Literal

from ullage.errors import FormatError, InputError, MissingExtraError
from ullage.records.atomic import write_json

FEWEST: Final = 20
"""Labelled candidates without which nothing is fitted."""
COLDEST, HOTTEST = 0.02, 50.0
"""Temperatures that are looked at; a fit at the edge says that the model's margins say nothing."""
BINS: Final = 10


@dataclass(frozen=True, slots=True)
class Calibration:
    """A temperature and a threshold, and what they were fitted on.

    `temperature` divides the difference of the two verdicts' log-probabilities (Guo et al. 2017, On
    Calibration of Modern Neural Networks, arXiv:1706.04599). The errors are expected calibration errors
    before and after.
    """

    temperature: float = 1.0
    threshold: float = 0.5
    model: str = ""
    prompt_version: str = ""
    candidates: int = 0
    error_before: float = 0.0
    error_after: float = 0.0

    def probability(self, margin: float) -> float:
        """That a candidate is personal data, from how much likelier the positive verdict is (in nats)."""
        return 1 / (1 + math.exp(-max(-700.0, min(700.0, margin / self.temperature))))


def fit(margins: Sequence[float], gold: Sequence[bool], model: str, prompt_version: str) -> Calibration:
    """The temperature of the least negative log-likelihood, at threshold 0.5.

    Raises InputError for too few labels, or labels of one kind.
    """
    if len(margins) < FEWEST or len(set(gold)) < 2:
        raise InputError(
            f"calibration needs {FEWEST} labelled candidates of both kinds; there are {sum(gold)} that are "
            f"personal data and {len(gold) - sum(gold)} that are not"
        )
    try:
        from scipy.optimize import minimize_scalar
    except ImportError as error:
        raise MissingExtraError("scipy", "pii", "fitting a temperature") from error

    def loss(log_temperature: float) -> float:
        scale = math.exp(-log_temperature)
        return math.fsum(
            _softplus(-margin * scale if label else margin * scale)
            for margin, label in zip(margins, gold, strict=True)
        )

    bounds = (math.log(COLDEST), math.log(HOTTEST))
    temperature = math.exp(float(minimize_scalar(loss, bounds=bounds, method="bounded").x))
    before = Calibration(1.0)
    after = Calibration(temperature)
    return Calibration(
        round(temperature, 6),
        0.5,
        model,
        prompt_version,
        len(margins),
        calibration_error([before.probability(one) for one in margins], gold),
        calibration_error([after.probability(one) for one in margins], gold),
    )


def _softplus(value: float) -> float:
    return value + math.log1p(math.exp(-value)) if value > 0 else math.log1p(math.exp(value))


class Bins:
    """Probability against frequency of the positive class, in bins of equal width."""

    def __init__(self, bins: int = BINS) -> None:
        self._sums, self._hits, self._counts = [0.0] * bins, [0] * bins, [0] * bins

    def add(self, probability: float, label: bool) -> None:
        place = min(int(probability * len(self._sums)), len(self._sums) - 1)
        self._sums[place] += probability
        self._hits[place] += label
        self._counts[place] += 1

    @property
    def rows(self) -> list[dict[str, float]]:
        """Mean probability, share that is personal data, and candidates of each bin that has any."""
        return [
            {"probability": total / count, "personal": hits / count, "candidates": count}
            for total, hits, count in zip(self._sums, self._hits, self._counts, strict=True)
            if count
        ]

    @property
    def error(self) -> float | None:
        """The expected calibration error; None without candidates."""
        count = sum(self._counts)
        gaps = (abs(total - hits) for total, hits in zip(self._sums, self._hits, strict=True))
        return math.fsum(gaps) / count if count else None


def calibration_error(probabilities: Sequence[float], gold: Sequence[bool], bins: int = BINS) -> float:
    """Expected calibration error: the gap between probability and frequency of the positive class.

    Over `bins` bins of equal width, weighted by their candidates (Naeini et al. 2015; Guo et al. 2017).
    """
    found = Bins(bins)
    for probability, label in zip(probabilities, gold, strict=True):
        found.add(probability, label)
    return found.error or 0.0


def pick_threshold(
    probabilities: Sequence[float],
    gold: Sequence[bool],
    by: Literal["precision", "recall", "cost"],
    value: float,
) -> float:
    """The threshold that reaches `value`, or the least cost where a false alarm costs 1 and a miss `value`.

    For a precision the lowest threshold that reaches it, so that recall is largest; for a recall the highest.
    Raises InputError where no threshold does.
    """
    if by not in ("precision", "recall", "cost") or not 0 <= value < math.inf:
        raise InputError(f"a threshold is picked by precision, recall or cost, not by {by} {value}")
    order = sorted(zip(probabilities, gold, strict=True), reverse=True)
    positives = sum(gold)
    found: list[tuple[float, float, float, float]] = []  # threshold, precision, recall, cost
    hits = 0
    for taken, (probability, label) in enumerate(order, 1):
        hits += label
        if taken < len(order) and order[taken][0] == probability:
            continue  # candidates of equal probability are on one side together
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


def write_calibration(path: Path, calibration: Calibration) -> None:
    write_json(path, {"document": "calibration", "version": 1, **asdict(calibration)}, unique=True)


def read_calibration(path: Path) -> Calibration:
    """Raises FormatError for a file that holds none."""
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
        if body.pop("document") != "calibration" or body.pop("version") != 1:
            raise KeyError("document")
        found = Calibration(**body)
        numbers = (found.temperature, found.threshold)
        if any(type(one) not in (int, float) for one in numbers):
            raise TypeError("temperature and threshold are not numbers")
        if not (0 < float(found.temperature) < math.inf and 0 <= found.threshold <= 1):
            raise ValueError("temperature and threshold are out of range")
    except (
        OSError,
        ArithmeticError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        RecursionError,
    ) as error:
        raise FormatError(f"{path}: not a file that `ullage pii calibrate` wrote: {error}") from error
    return found
