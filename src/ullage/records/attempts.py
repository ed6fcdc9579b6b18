"""What was noted of partitions while they were done: who began which, who died at which, who tried what."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from ullage.errors import UllageError
from ullage.fields import Fields
from ullage.records.parts import ATTEMPTS, Parts

SHARING: Final = "sharing"
"""Of a note, and of an actor in a record's accounts: how many share a card; left out where none does."""
LEFT_OUT: Final = "left_out"
"""Of a note that says `why` a node got no actor again; in the accounts of a record all of these."""


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


class Attempts(NamedTuple):
    """`worked` are actors by name; `noted` how often what was, and partitions begun `again`; `left_out` nodes
    that joined since and were not fit for the run, a line each; `wrong` says what could not be read."""

    worked: dict[str, Worked]
    noted: Counter[str]
    left_out: dict[str, None]
    wrong: tuple[str, ...]


def read_attempts(parts: Parts) -> Attempts:
    """All that can be read of them."""
    found = Attempts({}, Counter(), {}, ())
    by: dict[int, Worked] = {}
    try:
        for number, row in enumerate(parts.attempts(), 1):
            _take(Fields(row, f"{parts.path / ATTEMPTS}:{number}"), found, by)
    except (UllageError, OSError) as error:
        return found._replace(wrong=(f"{error}; what was noted from there on is left out",))
    return found


def _take(row: Fields, found: Attempts, by: dict[int, Worked]) -> None:
    what, at = row.text("what"), row.number("time")
    found.noted[what] += 1
    if what == LEFT_OUT:
        found.left_out[row.text("why")] = None
        return
    number = row.whole("partition")
    if what in ("begun", "tried"):
        sharing = row.whole(SHARING) if SHARING in row else 1
        who = found.worked.setdefault(row.text("actor"), Worked(row.text("node"), sharing, at, at))
        who.last = at
    if what == "begun":
        if number in by:
            found.noted["again"] += 1
            by[number].began.pop(number)
        by[number] = who
        who.began[number] = at
    elif what == "lost" and row.text("actor") in found.worked:
        who = found.worked[row.text("actor")]
        who.alive, who.last = False, at
