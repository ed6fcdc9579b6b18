"""How well an uncertainty tells wrong answers from right ones, with bootstrap intervals.

Everywhere `wrong` is 1 for what is to be found, a mistake, and a larger uncertainty means less certain.
Answers of equal uncertainty count as if in every order at once; where a threshold decides, they are on one
side of it together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ullage.errors import InputError
from ullage.measures.bootstrap import RESAMPLES, interval, resamples, resamples_of_groups

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]

MANY: Final = 10_000
"""Answers beyond which those that are alike are counted, not drawn one by one."""
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


@dataclass(frozen=True, slots=True)
class Tied:
    """Answers by uncertainty, the most certain first; those of equal uncertainty are one group.

    `bad` and `good` are the mistakes and right answers of each group, (draws, groups): of the answers
    themselves, or of resamples of them.
    """

    bad: Floats
    good: Floats


Statistic = Callable[[Tied], "Floats"]
"""A number a draw, (draws,): that all draws are computed at once makes a thousand resamples cheap."""


def _tied(wrong: Floats, uncertainty: Floats, weights: Floats) -> Tied:
    """`weights` is (draws, answers): how often each answer is in each draw."""
    import numpy as np

    order = np.argsort(uncertainty, kind="stable")
    ordered = uncertainty[order]
    begins = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    drawn = weights[:, order]
    bad = np.add.reduceat(drawn * wrong[order], begins, axis=1)
    good = np.add.reduceat(drawn * (1 - wrong[order]), begins, axis=1)
    return Tied(bad, good)


def _auroc(tied: Tied) -> Floats:
    """Probability that a random mistake is less certain than a random right answer, ties counting half."""
    below = tied.good.cumsum(1) - tied.good / 2
    found: Floats = (tied.bad * below).sum(1) / (tied.bad.sum(1) * tied.good.sum(1))
    return found


def _pr_auc(tied: Tied) -> Floats:
    """Average precision of finding mistakes; that of chance is the share of mistakes."""
    import numpy as np

    hits = tied.bad[:, ::-1].cumsum(1)
    taken = hits + tied.good[:, ::-1].cumsum(1)
    precision = np.divide(hits, taken, out=np.zeros_like(hits), where=taken > 0)
    found: Floats = (tied.bad[:, ::-1] * precision).sum(1) / tied.bad.sum(1)
    return found


def _aurac(tied: Tied) -> Floats:
    """Area under the rejection-accuracy curve: the mean accuracy of the k most certain answers, over all k.

    Farquhar et al. 2024, Nature 630, methods. In a group of s answers of which a share r is right, after K
    answers of which C are right, the accuracies (C + jr) / (K + j), j = 1..s, sum to
    sr + (C - rK)(H(K + s) - H(K)), H the harmonic numbers.
    """
    import numpy as np

    size = tied.bad + tied.good
    share = np.divide(tied.good, size, out=np.zeros_like(size), where=size > 0)
    after = size.cumsum(1)
    before = after - size
    right = tied.good.cumsum(1) - tied.good
    total = int(after[0, -1])
    harmonic = np.r_[0.0, np.cumsum(1 / np.arange(1, total + 1))]
    gap = harmonic[after.astype(int)] - harmonic[before.astype(int)]
    found: Floats = (size * share + (right - share * before) * gap).sum(1) / total
    return found


def _prediction_rejection_ratio(tied: Tied) -> Floats:
    """How much of what perfect rejection gains over random rejection this uncertainty gains; 1 is perfect.

    Malinin, Ragni, Knill and Gales 2017, Incorporating Uncertainty into Deep Learning for Spoken Language
    Assessment, ACL 2017, section 5.
    """
    import numpy as np

    bad, good = tied.bad.sum(1), tied.good.sum(1)
    chance = good / (bad + good)
    perfect = Tied(np.stack([0 * bad, bad], 1), np.stack([good, 0 * good], 1))
    found: Floats = (_aurac(tied) - chance) / (_aurac(perfect) - chance)
    return found


def recall_at(rate: float) -> Statistic:
    """The largest share of mistakes flagged by a threshold that flags at most `rate` of the right answers.

    A threshold flags every answer at least as uncertain as itself, so answers of equal uncertainty are
    flagged together or not at all, and nothing is interpolated: of scikit-learn's `roc_curve` it is the
    largest `tpr` whose `fpr` is at most `rate`. It is 0 where the most uncertain group alone holds more right
    answers than that. Raises InputError for a rate outside 0 to 1.
    """
    if not 0 <= rate <= 1:
        raise InputError(f"a false-positive rate is between 0 and 1, not {rate}")

    def recall(tied: Tied) -> Floats:
        import numpy as np

        hits, alarms = tied.bad[:, ::-1].cumsum(1), tied.good[:, ::-1].cumsum(1)
        allowed = alarms / alarms[:, -1:] <= rate
        found: Floats = np.where(allowed, hits / hits[:, -1:], 0.0).max(1)
        return found

    return recall


def kept_accuracy(wrong: Floats, uncertainty: Floats, counts: Floats) -> tuple[Floats, Floats]:
    """The share of answers that is kept, and the accuracy of those, the most certain first.

    Of answers that stand for themselves after each, for k = 1..n: within answers of equal uncertainty each is
    taken to be as right as they are on average. Of answers that are counted after each group of them.
    """
    import numpy as np

    order = np.argsort(uncertainty, kind="stable")
    weights = counts[order]
    _, group = np.unique(uncertainty[order], return_inverse=True)
    right = np.bincount(group, (1 - wrong[order]) * weights) / np.bincount(group, weights)
    after = np.cumsum(weights)
    found: Floats = np.cumsum(right[group] * weights) / after
    return after / after[-1], found


SCORES: Final[Mapping[str, Statistic]] = {
    "AUROC": _auroc,
    "AURAC": _aurac,
    "PRR": _prediction_rejection_ratio,
    "PR-AUC": _pr_auc,
}


def measure(of: Statistic, wrong: Floats, uncertainty: Floats, counts: Floats | None = None) -> float:
    """A statistic of answers of both kinds, without an interval; `counts` is how often each is there."""
    import numpy as np

    weights = np.ones(len(wrong)) if counts is None else counts
    return float(of(_tied(wrong, uncertainty, weights[None]))[0])


def scores(
    wrong: Sequence[float] | Bools | Floats,
    uncertainty: Sequence[float] | Floats,
    statistics: Mapping[str, Statistic] = SCORES,
    draws: int = RESAMPLES,
    seed: int = 0,
    groups: Sequence[int] | None = None,
) -> list[Score]:
    """Each statistic with the 2.5th and 97.5th percentile over bootstrap resamples of the answers, or of
    whole `groups` of them where each answer's is given.

    Resamples without mistakes or without right answers are left out. Where the answers themselves have
    fewer than two of each there is nothing to tell apart, and the scores say so.
    """
    import numpy as np

    labels, values = np.asarray(wrong, float), np.asarray(uncertainty, float)
    answers, mistakes = len(labels), int(labels.sum())
    if min(mistakes, answers - mistakes) < FEWEST:
        reason = _too_few(answers, mistakes)
        return [Score(name, None, None, None, answers, mistakes, reason) for name in statistics]
    if groups is None:
        labels, values, counts = alike(labels, values)
        blocks = resamples(counts, draws, seed)
    else:
        counts, blocks = np.ones(answers), resamples_of_groups(groups, draws, seed)
    drawn: dict[str, list[Floats]] = {name: [] for name in statistics}
    for weights in blocks:
        tied = _tied(labels, values, weights)
        both = (tied.bad.sum(1) > 0) & (tied.good.sum(1) > 0)
        tied = Tied(tied.bad[both], tied.good[both])
        for name, of in statistics.items():
            drawn[name].append(of(tied))
    return [
        Score(
            name,
            measure(of, labels, values, counts),
            *interval(np.concatenate(drawn[name])),
            answers,
            mistakes,
        )
        for name, of in statistics.items()
    ]


def measured_auroc(wrong: Sequence[float] | Bools | Floats, uncertainty: Sequence[float] | Floats) -> Score:
    """The AUROC alone, with its interval."""
    (found,) = scores(wrong, uncertainty, {"AUROC": _auroc})
    return found


def difference(
    wrong: Sequence[float] | Bools | Floats, one: Sequence[float] | Floats, other: Sequence[float] | Floats
) -> Score:
    """By how much the AUROC of `one` is larger than that of `other` on the same answers."""
    return paired_difference((wrong, one), (wrong, other))


def paired_difference(
    one: tuple[Sequence[float] | Bools | Floats, Sequence[float] | Floats],
    other: tuple[Sequence[float] | Bools | Floats, Sequence[float] | Floats],
    draws: int = RESAMPLES,
    seed: int = 0,
) -> Score:
    """By how much the AUROC of `one` is larger than that of `other`, with its interval: each is what is wrong
    and how uncertain, of the same questions, and each bootstrap resample of them is scored by both."""
    import numpy as np

    sides = [tuple(np.asarray(each, float) for each in side) for side in (one, other)]
    answers = len(sides[0][0])
    for labels, _ in sides:
        mistakes = int(labels.sum())
        if min(mistakes, answers - mistakes) < FEWEST:
            return Score("difference", None, None, None, answers, mistakes, _too_few(answers, mistakes))
    drawn: list[Floats] = []
    for weights in resamples(np.ones(answers), draws, seed):
        told = [(weights * labels).sum(1) for labels, _ in sides]
        kept = weights[np.all([(each > 0) & (each < answers) for each in told], axis=0)]
        first, second = (_auroc(_tied(labels, values, kept)) for labels, values in sides)
        drawn.append(first - second)
    first_value, second_value = (measure(_auroc, labels, values) for labels, values in sides)
    low, high = interval(np.concatenate(drawn))
    return Score("difference", first_value - second_value, low, high, answers, int(sides[0][0].sum()))


def alike(labels: Floats, values: Floats) -> tuple[Floats, Floats, Floats]:
    """Answers, and how often each is there. Of many, those of one label and uncertainty stand as one: how
    often it is drawn has the same distribution."""
    import numpy as np

    if len(labels) <= MANY:
        return labels, values, np.ones(len(labels))
    both = [np.unique(values[labels == label], return_counts=True) for label in (0, 1)]
    of_each = np.concatenate([np.full(len(distinct), label) for label, (distinct, _) in enumerate(both)])
    counts = np.concatenate([times for _, times in both])
    return of_each.astype(float), np.concatenate([distinct for distinct, _ in both]), counts.astype(float)


def _too_few(answers: int, mistakes: int) -> str:
    if not answers:
        return "no answers"
    which = "wrong" if mistakes > answers - mistakes else "right"
    few = "all" if min(mistakes, answers - mistakes) == 0 else "all but one"
    return f"{few} of the {answers} answers are {which}: nothing to tell apart"
