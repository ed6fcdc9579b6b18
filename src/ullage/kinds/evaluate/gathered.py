"""What all outcomes of an evaluation come to together, gathered in one pass over them."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ullage.kinds.evaluate.columns import Columns
from ullage.kinds.evaluate.outcomes import Outcome
from ullage.kinds.evaluate.section import Section
from ullage.kinds.evaluate.summary import Reason
from ullage.measures.uncertainty import nll
from ullage.workloads.judgement import vote

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

RIGHT, WRONG, UNSCORED = 0, 1, 2
PREFIXES: Final = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128)
"""Lengths of prefixes whose likelihood is scored."""
SHOWN: Final = 300
"""Single answers that are kept whole: those that fewest call right, and of those the first."""


@dataclass(slots=True)
class Gathered:
    """Numbers of every question in columns, labels a byte each; answers whole only of the worst.

    `labels` say whether each answer is wrong, in the eyes of each judge, of their vote and of each metric;
    they are never merged into one.
    """

    section: Section
    uncertainty: Columns
    metrics: Columns
    prefixes: Columns
    labels: dict[str, bytearray] = field(default_factory=dict)
    failed: list[Reason] = field(default_factory=list)
    unscored: dict[str, list[Reason]] = field(default_factory=dict)
    relevance: bool = False
    longest: int = 0
    _shown: list[tuple[int, int, Outcome, dict[str, int]]] = field(default_factory=list)

    @property
    def questions(self) -> int:
        return self.uncertainty.rows

    @property
    def shown(self) -> list[tuple[int, Outcome, dict[str, int]]]:
        """With their places and labels, the worst first: called wrong by most, and of those the surest."""
        return [(-place, one, labels) for _, place, one, labels in sorted(self._shown, key=_worst)]

    def counts(self, label: str) -> tuple[int, int]:
        """Right answers and wrong ones."""
        return self.labels[label].count(RIGHT), self.labels[label].count(WRONG)

    def scored(
        self, label: str, values: NDArray[np.float64]
    ) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
        """Of the questions that the label decides on and that have a value: whether each is wrong, and it."""
        import numpy as np

        column = np.frombuffer(self.labels[label], np.uint8)
        both = (column != UNSCORED) & ~np.isnan(values)
        return column[both] == WRONG, values[both]

    def scored_by_both(
        self, label: str, one: NDArray[np.float64], other: NDArray[np.float64]
    ) -> tuple[NDArray[np.bool_], NDArray[np.float64], NDArray[np.float64]]:
        """The same of questions that have two values."""
        import numpy as np

        column = np.frombuffer(self.labels[label], np.uint8)
        both = (column != UNSCORED) & ~np.isnan(one) & ~np.isnan(other)
        return column[both] == WRONG, one[both], other[both]

    def add(self, one: Outcome) -> None:
        """The outcome of the next question."""
        place = self.questions
        labels = labels_of(one, self.section)
        for name, label in labels.items():
            self.labels.setdefault(name, bytearray()).append(label)
        if one.greedy.failed:
            self.failed.append({"id": one.question.id, "reason": one.greedy.failed})
        for name, judged in one.judgements.items():
            reasons = self.unscored.setdefault(name, [])
            if judged.verdict is None:
                reasons.append({"id": one.question.id, "reason": judged.reason})
        self.relevance = self.relevance or bool(one.relevance)
        self.uncertainty.add(one.uncertainty)
        self.metrics.add(one.metrics)
        logprobs = one.greedy.logprobs
        self.longest = max(self.longest, len(logprobs))
        self.prefixes.add({str(n): nll(logprobs[:n]) for n in PREFIXES} if logprobs else {})
        concern = sum(label != RIGHT for label in labels.values())
        entry = (concern, -place, one, labels)
        if len(self._shown) < SHOWN:
            heapq.heappush(self._shown, entry)
        else:
            heapq.heappushpop(self._shown, entry)


def labels_of(one: Outcome, section: Section) -> dict[str, int]:
    """What an answer is in the eyes of each judge, of their vote if there are several, and of each metric."""
    found = {name: _label(judged.verdict, section) for name, judged in one.judgements.items()}
    if len(found) > 1:
        found["vote"] = _label(vote(list(one.judgements.values()), section.verdicts), section)
    for metric in section.metrics:
        needed = 1.0 if metric == "exact_match" else section.right_from
        value = one.metrics[metric]
        found[metric] = UNSCORED if value is None else int(value < needed)
    return found


def gather(outcomes: Iterable[Outcome], section: Section, folder: Path) -> Gathered:
    """Everything of all outcomes; columns lie in `folder`."""
    for name in ("uncertainty", "metrics", "prefixes"):
        (folder / name).mkdir()
    found = Gathered(
        section, Columns(folder / "uncertainty"), Columns(folder / "metrics"), Columns(folder / "prefixes")
    )
    for one in outcomes:
        found.add(one)
    return found


def _label(verdict: str | None, section: Section) -> int:
    return UNSCORED if verdict is None else int(verdict != section.verdicts[0])


def _worst(entry: tuple[int, int, Outcome, Mapping[str, int]]) -> tuple[int, int, float, int]:
    _, place, one, labels = entry
    called = list(labels.values())
    return -called.count(WRONG), -called.count(UNSCORED), one.uncertainty.get("G-NLL") or 0.0, -place
