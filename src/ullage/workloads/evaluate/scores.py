"""How well an uncertainty tells wrong answers from right ones, with bootstrap intervals.

Everywhere `wrong` is 1 for a mistake, and a larger uncertainty means less certain. Answers of equal
uncertainty count as if in every order at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ullage.errors import MissingExtraError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

RESAMPLES: Final = 1000
BINS: Final = 10
FEWEST: Final = 2
"""Answers of each class without which nothing can be told apart."""


@dataclass(frozen=True, slots=True)
class Score:
    """A score with its 95 % interval, the answers behind it, and why there is none where `value` is None."""

    name: str
    value: float | None
    low: float | None = None
    high: float | None = None
    answers: int = 0
    mistakes: int = 0
    reason: str = ""


def auroc(wrong: Floats, uncertainty: Floats) -> float:
    """Probability that a random mistake is less certain than a random right answer (scikit-learn)."""
    return float(_metrics().roc_auc_score(wrong, uncertainty))


def pr_auc(wrong: Floats, uncertainty: Floats) -> float:
    """Average precision of finding mistakes (scikit-learn); that of chance is the share of mistakes."""
    return float(_metrics().average_precision_score(wrong, uncertainty))


def aurac(wrong: Floats, uncertainty: Floats) -> float:
    """Area under the rejection-accuracy curve: the mean accuracy of the k most certain answers, over all k.

    Farquhar et al. 2024, Nature 630, methods.
    """
    return float(kept_accuracy(wrong, uncertainty).mean())


def prediction_rejection_ratio(wrong: Floats, uncertainty: Floats) -> float:
    """How much of what perfect rejection gains over random rejection this uncertainty gains; 1 is perfect.

    Malinin, Ragni, Knill and Gales 2017, Incorporating Uncertainty into Deep Learning for Spoken Language
    Assessment, ACL 2017, section 5.
    """
    chance = 1 - float(wrong.mean())
    best = float(kept_accuracy(wrong, wrong).mean())
    return (aurac(wrong, uncertainty) - chance) / (best - chance)


def kept_accuracy(wrong: Floats, uncertainty: Floats) -> Floats:
    """Accuracy of the k most certain answers for k = 1..n, (n,).

    Within answers of equal uncertainty each is taken to be as right as they are on average.
    """
    import numpy as np

    order = np.argsort(uncertainty, kind="stable")
    _, group, size = np.unique(uncertainty[order], return_inverse=True, return_counts=True)
    right = np.bincount(group, weights=1 - wrong[order]) / size
    counts = np.arange(1, len(wrong) + 1)
    found: Floats = np.cumsum(right[group]) / counts
    return found


def expected_calibration_error(wrong: Floats, confidence: Floats, bins: int = BINS) -> float:
    """Mean gap between confidence and accuracy over `bins` bins of equal width, weighted by their answers.

    `confidence` is the probability of being right, in [0, 1]. Guo et al. 2017, arXiv:1706.04599.
    """
    import numpy as np

    place = np.minimum((confidence * bins).astype(int), bins - 1)
    count = np.bincount(place, minlength=bins)
    sums = np.bincount(place, weights=confidence, minlength=bins)
    right = np.bincount(place, weights=1 - wrong, minlength=bins)
    return float(np.abs(sums - right).sum() / max(count.sum(), 1))


Measured = Callable[["Floats", "Floats"], float]
SCORES: Final[dict[str, Measured]] = {
    "AUROC": auroc,
    "AURAC": aurac,
    "PRR": prediction_rejection_ratio,
    "PR-AUC": pr_auc,
}


def score(
    name: str, wrong: Sequence[float], uncertainty: Sequence[float], resamples: int = RESAMPLES, seed: int = 0
) -> Score:
    """One of `SCORES` with the 2.5th and 97.5th percentile over bootstrap resamples of the answers.

    Without mistakes, or without right answers, there is nothing to tell apart, and the score says so.
    """
    import numpy as np

    labels, values = np.asarray(wrong, float), np.asarray(uncertainty, float)
    answers, mistakes = len(labels), int(labels.sum())
    if min(mistakes, answers - mistakes) < FEWEST:
        which = "wrong" if mistakes > answers - mistakes else "right"
        few = "all" if min(mistakes, answers - mistakes) == 0 else "all but one"
        reason = (
            f"{few} of the {answers} answers are {which}: nothing to tell apart" if answers else "no answers"
        )
        return Score(name, None, None, None, answers, mistakes, reason)
    measure = SCORES[name]
    chance = np.random.default_rng(seed)
    drawn: list[float] = []
    while len(drawn) < resamples:
        rows = chance.integers(0, answers, answers)
        if 0 < labels[rows].sum() < answers:
            drawn.append(measure(labels[rows], values[rows]))
    low, high = np.percentile(drawn, [2.5, 97.5]) if drawn else (np.nan, np.nan)
    return Score(name, measure(labels, values), float(low), float(high), answers, mistakes)


def _metrics() -> Any:
    try:
        from sklearn import metrics
    except ImportError as error:
        raise MissingExtraError("scikit-learn", "evaluate", "scoring uncertainty") from error
    return metrics
