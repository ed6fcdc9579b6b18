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
SHOWN: Final = 30
"""Single answers that are kept whole, the least certain."""


@dataclass(slots=True)
class Gathered:
    """Numbers of every question in columns, labels a byte each; answers whole only of the least certain.

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
    _least_certain: list[tuple[float, int, Outcome, dict[str, int]]] = field(default_factory=list)

    @property
    def questions(self) -> int:
        return self.uncertainty.rows

    @property
    def least_certain(self) -> list[tuple[Outcome, dict[str, int]]]:
        """With their labels, the least certain first."""
        return [(one, labels) for _, _, one, labels in sorted(self._least_certain, key=_first)]

    def scored(
        self, label: str, values: NDArray[np.float64]
    ) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
        """Of the questions that the label decides on and that have a value: whether each is wrong, and it."""
        import numpy as np

        column = np.frombuffer(self.labels[label], np.uint8)
        both = (column != UNSCORED) & ~np.isnan(values)
        return column[both] == WRONG, values[both]

    def add(self, one: Outcome) -> None:
        """The outcome of the next question."""
        place = self.questions
        labels = self._labels(one)
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
        if logprobs:
            entry = (one.uncertainty.get("G-NLL") or 0.0, -place, one, labels)
            if len(self._least_certain) < SHOWN:
                heapq.heappush(self._least_certain, entry)
            else:
                heapq.heappushpop(self._least_certain, entry)

    def _labels(self, one: Outcome) -> dict[str, int]:
        section = self.section
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


def _first(entry: tuple[float, int, Outcome, Mapping[str, int]]) -> tuple[float, int]:
    return -entry[0], -entry[1]
