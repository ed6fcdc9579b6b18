"""The temperature and the threshold that a verifier's probabilities need, and their file."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Final

from ullage.documents import VERSION, document
from ullage.errors import FormatError, InputError
from ullage.files import read_text
from ullage.measures.calibration import calibration_error, fit_temperature, probability

FEWEST: Final = 20
"""Labelled candidates without which nothing is fitted."""
FEW: Final = 200
"""Labelled candidates below which a calibration says so."""
LARGEST_FILE: Final = 10_000
"""Bytes; a calibration has some 600."""
Span = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Calibration:
    """A temperature and a threshold, what they were fitted on, and what they come to on labels held out.

    `temperature` divides the difference of the two verdicts' log-probabilities (Guo et al. 2017, On
    Calibration of Modern Neural Networks, arXiv:1706.04599). It was fitted to `candidates`; errors (expected
    calibration errors before and after), precision and recall are those of the `held_out` candidates, or of
    the same where none were. Intervals are of 95 %: Wilson's of precision and recall, of resamples else.
    """

    temperature: float = 1.0
    threshold: float = 0.5
    model: str = ""
    prompt_version: str = ""
    candidates: int = 0
    error_before: float = 0.0
    error_after: float = 0.0
    held_out: int = 0
    temperature_interval: Span | None = None
    error_after_interval: Span | None = None
    precision: float | None = None
    precision_interval: Span | None = None
    recall: float | None = None
    recall_interval: Span | None = None

    def probability(self, margin: float) -> float:
        """That a candidate is personal data, from how much likelier the positive verdict is (in nats)."""
        return probability(margin, self.temperature)

    @property
    def warning(self) -> str:
        """What is to be said of so few labels; nothing of enough."""
        count = self.candidates + self.held_out
        if not 0 < count < FEW:
            return ""
        return f"{count:,} labelled candidates are few: below {FEW} another file may give other numbers"


def fit(margins: Sequence[float], gold: Sequence[bool], model: str, prompt_version: str) -> Calibration:
    """The temperature of the least negative log-likelihood, at threshold 0.5.

    Raises InputError for too few labels, or labels of one kind.
    """
    if len(margins) < FEWEST or len(set(gold)) < 2:
        raise InputError(
            f"calibration needs {FEWEST} labelled candidates of both kinds; there are {sum(gold)} that are "
            f"personal data and {len(gold) - sum(gold)} that are not"
        )
    temperature = fit_temperature(margins, gold)
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


def write_calibration(path: Path, calibration: Calibration) -> None:
    """Into a new file. Raises FileExistsError where there is one."""
    body = document("calibration", Calibration, calibration)
    with path.open("x", encoding="utf-8") as file:
        file.write(json.dumps(body, indent=1, ensure_ascii=False) + "\n")
        file.flush()
        os.fsync(file.fileno())


def read_calibration(path: Path) -> Calibration:
    """Raises FormatError for a file that holds none."""
    try:
        body = json.loads(read_text(path, LARGEST_FILE))
        if body.pop("document") != "calibration" or body.pop("version") != VERSION:
            raise KeyError("document")
        for field in fields(Calibration):
            if isinstance(body.get(field.name), list):
                low, high = body[field.name]
                body[field.name] = (float(low), float(high))
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
