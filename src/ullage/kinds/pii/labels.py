"""The labelled candidates of a finished verification, and a part of them held out."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, field

from ullage.kinds.pii.verified import VerifiedRecord


@dataclass(slots=True)
class Labels:
    """Margins and labels of candidates, with the record that each stands in, counted from 0."""

    margins: list[float] = field(default_factory=list)
    gold: list[bool] = field(default_factory=list)
    records: list[int] = field(default_factory=list)

    def add(self, row: VerifiedRecord) -> None:
        """Those of a record that were decided."""
        at = self.records[-1] + 1 if self.records else 0
        for one in row.candidates:
            if one.gold is not None and one.margin is not None:
                self.margins.append(one.margin)
                self.gold.append(one.gold)
                self.records.append(at)

    def split(self, held_out: float, seed: int = 0) -> tuple[Labels, Labels]:
        """Two parts, the second with that share of the records: no text is in both."""
        count = self.records[-1] + 1 if self.records else 0
        away = set(random.Random(seed).sample(range(count), round(held_out * count)))
        places = range(len(self.records))
        kept = self._of(at for at in places if self.records[at] not in away)
        return kept, self._of(at for at in places if self.records[at] in away)

    def _of(self, places: Iterable[int]) -> Labels:
        found, numbers = Labels(), dict[int, int]()
        for at in places:
            found.margins.append(self.margins[at])
            found.gold.append(self.gold[at])
            found.records.append(numbers.setdefault(self.records[at], len(numbers)))
        return found
