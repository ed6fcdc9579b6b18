"""Counts of candidates and of redacted texts, filled one by one."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from ullage.kinds.pii.summary import Counts, RedactionCounts, ThresholdRow
from ullage.kinds.pii.verified import VerifiedRecord
from ullage.measures.proportions import wilson

THRESHOLDS: Final = tuple(percent / 100 for percent in range(5, 100, 5))
"""At which precision and recall are shown."""


@dataclass(slots=True)
class Tally:
    """Counts of candidates; those with a gold label also by what they should have been."""

    verified: int = 0
    rejected: int = 0
    failed: int = 0
    right_yes: int = 0
    wrong_yes: int = 0
    right_no: int = 0
    wrong_no: int = 0

    def add(self, verdict: str, gold: bool | None) -> None:
        setattr(self, verdict, getattr(self, verdict) + 1)
        if gold is None or verdict == "failed":
            return
        yes = verdict == "verified"
        name = f"{'right' if yes == gold else 'wrong'}_{'yes' if yes else 'no'}"
        setattr(self, name, getattr(self, name) + 1)

    def document(self) -> Counts:
        """Counts, the share verified, and precision, recall and F1 where there are labels.

        Failed candidates are in none of them: they are neither verified nor rejected.
        """
        decided = self.verified + self.rejected
        hits = 2 * self.right_yes
        found, there = self.right_yes + self.wrong_yes, self.right_yes + self.wrong_no
        labelled = self.right_yes + self.wrong_yes + self.right_no + self.wrong_no
        return {
            "verified": self.verified,
            "rejected": self.rejected,
            "failed": self.failed,
            "verification_rate": share(self.verified, decided),
            "labelled": labelled,
            "confusion": {
                "right_yes": self.right_yes,
                "wrong_yes": self.wrong_yes,
                "right_no": self.right_no,
                "wrong_no": self.wrong_no,
            },
            "precision": share(self.right_yes, found) if labelled else None,
            "precision_interval": wilson(self.right_yes, found),
            "recall": share(self.right_yes, there) if labelled else None,
            "recall_interval": wilson(self.right_yes, there),
            "f1": share(hits, hits + self.wrong_yes + self.wrong_no) if labelled else None,
        }


class Thresholds:
    """Labelled candidates by how many of THRESHOLDS they reach."""

    def __init__(self) -> None:
        self._hits, self._others = [0] * (len(THRESHOLDS) + 1), [0] * (len(THRESHOLDS) + 1)

    def add(self, probability: float, gold: bool) -> None:
        (self._hits if gold else self._others)[bisect_right(THRESHOLDS, probability)] += 1

    @property
    def rows(self) -> list[ThresholdRow]:
        """Precision and recall at each threshold; none where nothing was added."""
        there = sum(self._hits)
        if not there + sum(self._others):
            return []
        found: list[ThresholdRow] = []
        for place, threshold in enumerate(THRESHOLDS, 1):
            hits, others = sum(self._hits[place:]), sum(self._others[place:])
            found.append(
                {
                    "threshold": threshold,
                    "verified": hits + others,
                    "precision": share(hits, hits + others),
                    "recall": share(hits, there),
                }
            )
        return found


@dataclass(slots=True)
class RedactionTally:
    """Redacted texts: written, and withheld by reason; places that only folding found."""

    redacted: int = 0
    folded: int = 0
    reasons: Counter[str] = field(default_factory=Counter)

    def add(self, row: VerifiedRecord) -> None:
        self.redacted += bool(row.redacted)
        self.folded += row.folded
        if row.redacted is False:
            self.reasons[row.withheld] += 1

    def document(self) -> RedactionCounts | None:
        """None of a run that redacts nothing."""
        withheld = sum(self.reasons.values())
        if not self.redacted + withheld:
            return None
        return {
            "redacted": self.redacted,
            "withheld": withheld,
            "reasons": dict(self.reasons.most_common()),
            "folded_places": self.folded,
        }


def share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
