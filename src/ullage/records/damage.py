"""What is wrong with a run's folder: a place in it, and what was found there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ullage.errors import FormatError

SHOWN: Final = 5
"""Places that one message names."""


@dataclass(frozen=True, slots=True)
class Damage:
    """`where` is a file, with its line's number where it has lines; `what` was found there.

    `entry` is the first of the journal's entries, counted from 0, that can no longer be vouched for; None
    where what was damaged is nothing that the journal vouches for. `page` says that a report writes it anew.
    """

    where: str
    what: str
    entry: int | None = None
    page: bool = False

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


def as_damage(error: FormatError, entry: int | None = None) -> Damage:
    """What an error says that begins with a place; `entry` as in `Damage`."""
    where, _, what = str(error).partition(": ")
    return Damage(where, what, entry)


def refuse(found: Sequence[Damage], what_to_do: str) -> None:
    """Raises FormatError, one line of all that was found, unless that is nothing."""
    if not found:
        return
    more = f"; and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    raise FormatError(f"{'; '.join(map(str, found[:SHOWN]))}{more}; {what_to_do}")
