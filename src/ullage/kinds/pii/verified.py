"""The lines of verified.jsonl, as they are read back from a run's folder."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ullage.errors import FormatError
from ullage.fields import Fields
from ullage.records.lines import read_lines


@dataclass(frozen=True, slots=True)
class VerifiedCandidate:
    """A candidate's verdict: verified, rejected or failed. `gold` is its label; None where there is none, as
    margin and probability are where it failed."""

    type: str
    verdict: str
    gold: bool | None
    margin: float | None
    probability: float | None
    reason: str = ""
    start: int | None = None
    end: int | None = None


@dataclass(frozen=True, slots=True)
class VerifiedRecord:
    """One record's candidates, with the model and the version of the prompt that told.

    `redacted`: whether its text was, None where nothing is; `withheld` says why it was not. `folded` is how
    many places only folding found.
    """

    model: str
    prompt: str
    candidates: tuple[VerifiedCandidate, ...]
    line: int = 0
    redacted: bool | None = None
    withheld: str = ""
    folded: int = 0


def read_verified(folder: Path) -> Iterator[VerifiedRecord]:
    """Line by line. Raises FormatError for one that is no verified record."""
    path = folder / "verified.jsonl"
    for number, row in enumerate(read_lines(path), 1):
        found = Fields(row, f"{path}:{number}")
        candidates = tuple(map(_candidate, found.each("candidates")))
        text = found.values.get("redacted")
        yield VerifiedRecord(
            found.text("model"),
            found.text("prompt"),
            candidates,
            found.whole("line"),
            text is not None if "redacted" in found else None,
            found.text("withheld") if "withheld" in found else "",
            found.whole("folded") if "folded" in found else 0,
        )


def _candidate(found: Fields) -> VerifiedCandidate:
    verdict = found.text("verdict")
    if verdict not in ("verified", "rejected", "failed"):
        raise FormatError(f"{found.where}: verdict is none of verified, rejected, failed")
    return VerifiedCandidate(
        found.text("type"),
        verdict,
        found.flag("gold") if found.values.get("gold") is not None else None,
        found.number("margin") if "margin" in found else None,
        found.number("probability") if "probability" in found else None,
        found.text("reason") if "reason" in found else "",
        found.whole_or_none("start"),
        found.whole_or_none("end"),
    )
