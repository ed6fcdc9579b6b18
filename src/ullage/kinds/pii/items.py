"""A candidate on its way to a verdict."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from ullage.engines.engine import Chat, Failure
from ullage.kinds.pii.calibration import Calibration
from ullage.kinds.pii.records import Candidate, Record
from ullage.kinds.pii.redaction import Sensitive

SUREST: Final = 1e6
"""Margin, in nats, of a verdict whose opposite has no probability at all: infinity is no JSON."""
DIGITS: Final = 6
"""Of a margin. What is decided is what is written, so that a threshold picked from it holds."""


@dataclass(slots=True)
class Item:
    """`margin` is how much likelier the positive verdict is, in nats; None: undecided, `reason` says why.

    `mass` is the probability that the reply is one of the verdicts, None where nobody was asked. `unanswered`
    says that a server was asked and gave nothing usable.
    """

    record: Record
    candidate: Candidate
    chat: Chat | None = None
    margin: float | None = None
    mass: float | None = None
    reason: str = ""
    unanswered: bool = False
    explanation: str = ""

    def settle(self, scores: tuple[float, ...] | Failure, least: float) -> None:
        """Takes the two verdicts' log-probabilities. An answer that says nothing is never a yes: where both
        together have a probability below `least`, the model wants to say something else."""
        if isinstance(scores, Failure):
            self.reason, self.unanswered = scores.reason, True
            return
        yes, no = scores
        if math.isnan(yes) or math.isnan(no) or math.inf in scores:
            self.reason = "the model gives a verdict no number for a probability"
            return
        mass = _mass(yes) + _mass(no)
        self.mass = round(min(mass, 1.0), DIGITS)
        if not mass or mass < least:
            self.reason = f"the model did not answer: it gives both verdicts together {mass:.2g}"
            return
        self.margin = round(max(-SUREST, min(SUREST, yes - no)), DIGITS)

    def meant(self) -> list[Item]:
        """One for each type that it may be; itself where that is one alone, or it is failed already."""
        one = self.candidate
        if self.reason or one.start is None or not one.others:
            return [self]
        return [Item(self.record, replace(one, type=kind, others=())) for kind in one.types]

    def personal(self, calibration: Calibration) -> bool:
        """Whether it is verified."""
        return self.margin is not None and calibration.probability(self.margin) >= calibration.threshold

    def sensitive(self, calibration: Calibration) -> Sensitive | None:
        """What must not stay of it in a redacted text: all of it where it is verified or failed."""
        if self.margin is not None and not self.personal(calibration):
            return None
        one = self.candidate
        span = None if one.start is None or one.end is None else (one.start, one.end)
        return Sensitive(one.type.name, span, self.margin, one.by_value, one.folded, one.stated)

    def row(self, calibration: Calibration) -> dict[str, object]:
        """What stands of it in a line of output."""
        one = self.candidate
        row: dict[str, object] = {"type": one.type.name, "start": one.start, "end": one.end}
        if one.start is not None:
            row["value"] = self.record.text[one.start : one.end]
        if one.folded:
            row["folded"] = True
        if one.score is not None:
            row["score"] = one.score
        if self.margin is None:
            row |= {"verdict": "failed", "reason": self.reason}
        else:
            row["verdict"] = "verified" if self.personal(calibration) else "rejected"
            row["probability"] = round(calibration.probability(self.margin), DIGITS)
            row["margin"] = self.margin
        if self.mass is not None:
            row["mass"] = self.mass
        if one.gold is not None:
            row["gold"] = one.gold
        if self.explanation:
            row["explanation"] = self.explanation
        return row


def likeliest(meant: Sequence[Item], calibration: Calibration) -> Item:
    """Of what one candidate may be: the likeliest that is verified; else one that failed, for what it would
    have been is not known; else the likeliest."""
    decided = [item for item in meant if item.margin is not None]
    first = max(decided, key=lambda item: item.margin or 0.0, default=meant[0])
    if len(decided) == len(meant) or first.personal(calibration):
        return first
    return next(item for item in meant if item.margin is None)


def _mass(logprob: float) -> float:
    return math.exp(min(logprob, 0.0))
