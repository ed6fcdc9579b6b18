"""What was noted of partitions while they were done: who began which, who died at which, who tried what."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from ullage.errors import UllageError
from ullage.fields import Fields
from ullage.records.parts import ATTEMPTS, Parts

SHARING: Final = "sharing"
"""Of a note, and of an actor in a record's accounts: how many share a card; left out where none does."""


@dataclass(slots=True)
class Worked:
    """One actor: on which node, how many are `sharing` its card, its first note and its last in seconds of
    the driver's clock; partitions that it began and nobody after it, in order, and when by the same clock;
    whether nobody said that it died."""

    node: str
    sharing: int
    first: float
    last: float
    began: dict[int, float] = field(default_factory=dict)
    alive: bool = True


def read_attempts(parts: Parts) -> tuple[dict[str, Worked], Counter[str], list[str]]:
    """Actors by name; how often what was noted, and partitions begun `again`; what could not be read."""
    worked: dict[str, Worked] = {}
    noted: Counter[str] = Counter()
    by: dict[int, Worked] = {}
    try:
        for number, row in enumerate(parts.attempts(), 1):
            _take(Fields(row, f"{parts.path / ATTEMPTS}:{number}"), worked, noted, by)
    except (UllageError, OSError) as error:
        return worked, noted, [f"{error}; what was noted from there on is left out"]
    return worked, noted, []


def _take(row: Fields, worked: dict[str, Worked], noted: Counter[str], by: dict[int, Worked]) -> None:
    what, number, at = row.text("what"), row.whole("partition"), row.number("time")
    noted[what] += 1
    if what in ("begun", "tried"):
        sharing = row.whole(SHARING) if SHARING in row else 1
        who = worked.setdefault(row.text("actor"), Worked(row.text("node"), sharing, at, at))
        who.last = at
    if what == "begun":
        if number in by:
            noted["again"] += 1
            by[number].began.pop(number)
        by[number] = who
        who.began[number] = at
    elif what == "lost" and row.text("actor") in worked:
        who = worked[row.text("actor")]
        who.alive, who.last = False, at
