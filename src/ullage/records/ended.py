"""What was done of a partition, as it says itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ullage.fields import Fields


@dataclass(frozen=True, slots=True)
class Ended:
    """What part.json says: how much was done, by whom, what was measured so far in that process, and what
    that `held` before any model, in bytes."""

    number: int
    journal: str
    examples: int
    tokens: int
    splits: int
    seconds: float
    ended: float
    actor: str
    node: str
    outcome: Mapping[str, object]
    measured: Sequence[Mapping[str, object]]
    environment: Mapping[str, object]
    held: int


def read_ended(document: Mapping[str, object], where: str) -> Ended:
    """What part.json holds; `where` names it in messages. Raises FormatError where it is none."""
    read = Fields(document, f"{where}: no partition's document")
    return Ended(
        read.whole("number"),
        read.text("journal"),
        read.whole("examples"),
        read.whole("tokens"),
        read.whole("splits"),
        read.number("seconds"),
        read.number("ended"),
        read.text("actor"),
        read.text("node"),
        read.inner("outcome").values,
        [each.values for each in read.each("measured")],
        read.inner("environment").values,
        read.whole("held"),
    )
