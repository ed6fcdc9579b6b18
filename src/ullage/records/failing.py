"""What of a run's work a server or a record failed: how much, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Final

from ullage.fields import Fields

OUTCOME: Final = "failed"
MOST: Final = "max_failed"
AGAIN: Final = "asks_again"
"""The fields of a record's outcome: what failed, the share of it that is allowed, and whether a resume asks
any of it again."""
DIFFERENT: Final = 1000
"""Reasons that are told apart."""
TOLD: Final = 3
"""Reasons that are shown."""
OTHERS: Final = "other reasons"


@dataclass(frozen=True, slots=True)
class Failing:
    """Of `asked` pieces of work called `what`, `failed` came to nothing; `reasons` by how often, the most
    frequent first."""

    what: str
    asked: int
    failed: int
    reasons: Mapping[str, int]

    def __str__(self) -> str:
        shown = [*self.reasons.items()][:TOLD]
        rest = self.failed - sum(count for _, count in shown)
        told = [f"{reason} ({count:,} times)" if count > 1 else reason for reason, count in shown]
        told += [f"{rest:,} more"] if rest else []
        return f"{self.failed:,} of {self.asked:,} {self.what} failed: {'; '.join(told)}"

    def to_json(self) -> dict[str, object]:
        return asdict(self)


def count_failing(what: str, reasons: Iterable[str | None]) -> Failing:
    """One reason for each piece of work, None where it did not fail."""
    asked = failed = 0
    found: Counter[str] = Counter()
    for reason in reasons:
        asked += 1
        if reason is not None:
            failed += 1
            found[reason if reason in found or len(found) < DIFFERENT else OTHERS] += 1
    return Failing(what, asked, failed, dict(found.most_common()))


def failing_in(outcome: Mapping[str, object]) -> tuple[Failing, ...]:
    """What a record's outcome says of it. Raises FormatError."""
    told = Fields(outcome, "the record's outcome")
    return tuple(
        Failing(each.text("what"), each.whole("asked"), each.whole("failed"), each.inner("reasons").wholes())
        for each in (told.each(OUTCOME) if OUTCOME in told else ())
    )


def too_many_failed(outcome: Mapping[str, object]) -> bool:
    """Whether more of anything failed than the workload allows. Raises FormatError."""
    told = Fields(outcome, "the record's outcome")
    most = told.number(MOST) if MOST in told else 1.0
    return any(each.failed > most * each.asked for each in failing_in(outcome))
