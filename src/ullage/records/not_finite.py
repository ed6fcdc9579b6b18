"""Stored states that are NaN or infinite, counted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from ullage.fields import Fields

KEY: Final = "not_finite"
"""Where a record's outcome has them, if there are any."""
SHOWN: Final = 4


@dataclass(frozen=True, slots=True)
class NotFinite:
    """So many values in so many sequences, and those of each site."""

    values: int
    sequences: int
    sites: Mapping[str, int]

    def __str__(self) -> str:
        most = sorted(self.sites.items(), key=lambda each: -each[1])
        shown = ", ".join(f"{site} {count:,}" for site, count in most[:SHOWN])
        more = f" and {len(most) - SHOWN} more sites" if len(most) > SHOWN else ""
        counts = f"{self.values:,} stored values of {self.sequences:,} sequences"
        return f"{counts} are NaN or infinite: {shown}{more}"


def not_finite_in(outcome: Mapping[str, object]) -> NotFinite | None:
    """What a record's outcome says of them. Raises FormatError."""
    if KEY not in outcome:
        return None
    found = Fields(outcome, "the record's outcome").inner(KEY)
    return NotFinite(found.whole("values"), found.whole("sequences"), found.inner("sites").wholes())
