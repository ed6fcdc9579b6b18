"""A probe's scores of a text, token by token; or why there are none."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from ullage.fields import Fields

UNAVAILABLE: Final = "unavailable"

NOT_FINITE: Final = "a state was NaN or infinite"
"""Why a text has no scores whose states were no numbers."""


@dataclass(frozen=True, slots=True)
class Scores:
    """A score of each token, (tokens,), and the characters of the text the token stands for.

    Invariant: there are scores, all of them finite, or there is a `reason` why not; never a number instead.
    """

    values: tuple[float, ...] = ()
    offsets: tuple[tuple[int, int], ...] = ()
    reason: str = ""

    def __post_init__(self) -> None:
        assert len(self.values) == len(self.offsets)
        assert bool(self.values) != bool(self.reason), "scores, or a reason why there are none"
        assert all(map(math.isfinite, self.values))

    def mean(self, begin: int = 0, end: int | None = None) -> float | None:
        """Of the tokens that have a character in `begin` to `end`; None where none has, or there are none."""
        found = list(self._within(begin, end))
        return math.fsum(found) / len(found) if found else None

    def _within(self, begin: int, end: int | None) -> Iterator[float]:
        for value, (first, last) in zip(self.values, self.offsets, strict=True):
            if first < (last if end is None else end) and last > begin:
                yield value

    def written(self) -> dict[str, object]:
        """As a record has them."""
        if self.reason:
            return {UNAVAILABLE: self.reason}
        return {"values": list(self.values), "offsets": [list(pair) for pair in self.offsets]}


def read_scores(row: Fields) -> Scores:
    """Scores as a record has them. Raises FormatError."""
    if UNAVAILABLE in row:
        return Scores(reason=row.text(UNAVAILABLE))
    values = [Fields({"value": each}, row.where).number("value") for each in row.array("values")]
    pairs = [Fields({"pair": each}, row.where).array("pair") for each in row.array("offsets")]
    offsets = [tuple(Fields({"at": at}, row.where).whole("at") for at in pair) for pair in pairs]
    return Scores(tuple(values), tuple((pair[0], pair[1]) for pair in offsets))


def unavailable(reason: str) -> Scores:
    """No scores, and why."""
    return Scores(reason=reason)
