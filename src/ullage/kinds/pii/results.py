"""What a finished verification comes to: how much was verified, how well, how fast."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ullage.errors import FormatError
from ullage.fields import Fields
from ullage.files import read_text
from ullage.kinds.pii.section import VERIFIER
from ullage.kinds.pii.summary import BinRow, CalibrationRows, Counts, Summary
from ullage.kinds.pii.verified import read_verified
from ullage.measures.calibration import Bins
from ullage.records.atomic import write_json, write_text
from ullage.records.folder import RunFolder
from ullage.records.journal import read_journal
from ullage.records.lines import read_lines
from ullage.records.record import Record
from ullage.reports.html_page import render_page
from ullage.spec.workload import Workload

SUMMARY: Final = "summary.json"
LARGEST_SUMMARY: Final = 64 * 2**20
"""Bytes; one has a few thousand for each type."""
PAGE: Final = "report.html"
TEMPLATE: Final = Path(__file__).with_name("report.html.jinja")
PERCENTILES: Final = (0.5, 0.9, 0.95, 0.99)


@dataclass(slots=True)
class Tally:
    """Counts of candidates; those with a gold label also by what they should have been."""

    verified: int = 0
    rejected: int = 0
    failed: int = 0
    right_yes: int = 0
    wrong_yes: int = 0
    right_no: int = 0
    wrong_no: int = 0

    def add(self, verdict: str, gold: bool | None) -> None:
        setattr(self, verdict, getattr(self, verdict) + 1)
        if gold is None or verdict == "failed":
            return
        yes = verdict == "verified"
        name = f"{'right' if yes == gold else 'wrong'}_{'yes' if yes else 'no'}"
        setattr(self, name, getattr(self, name) + 1)

    def document(self) -> Counts:
        """Counts, the share verified, and precision, recall and F1 where there are labels.

        Failed candidates are in none of them: they are neither verified nor rejected.
        """
        decided = self.verified + self.rejected
        hits = 2 * self.right_yes
        labelled = self.right_yes + self.wrong_yes + self.right_no + self.wrong_no
        return {
            "verified": self.verified,
            "rejected": self.rejected,
            "failed": self.failed,
            "verification_rate": _share(self.verified, decided),
            "labelled": labelled,
            "confusion": {
                "right_yes": self.right_yes,
                "wrong_yes": self.wrong_yes,
                "right_no": self.right_no,
                "wrong_no": self.wrong_no,
            },
            "precision": _share(self.right_yes, self.right_yes + self.wrong_yes) if labelled else None,
            "recall": _share(self.right_yes, self.right_yes + self.wrong_no) if labelled else None,
            "f1": _share(hits, hits + self.wrong_yes + self.wrong_no) if labelled else None,
        }


def report(run: RunFolder, workload: Workload, base: Path, record: Record) -> tuple[Path, ...]:
    """Writes a run's summary and page; their paths. Nothing of any text is in them."""
    table, page = run.path / SUMMARY, run.path / PAGE
    found = summary(run.path)
    write_json(table, found)
    role = workload.roles[VERIFIER]
    write_text(page, render_page(TEMPLATE, title=workload.name or "verification", model=role.model, **found))
    return table, page


def read_summary(folder: Path) -> Summary:
    """The summary that a finished run wrote. Raises FormatError where there is none."""
    path = folder / SUMMARY
    try:
        found: Summary = json.loads(read_text(path, LARGEST_SUMMARY))
    except (OSError, ValueError, RecursionError) as error:
        raise FormatError(f"{path}: cannot be read; `ullage report {folder}` writes it anew") from error
    return found


def summary(folder: Path) -> Summary:
    """Counts by type, scores where there are labels, calibration, latency; read line by line."""
    whole, by_type, bins = Tally(), dict[str, Tally](), Bins()
    records = 0
    for row in read_verified(folder):
        records += 1
        for candidate in row.candidates:
            for tally in (whole, by_type.setdefault(candidate.type, Tally())):
                tally.add(candidate.verdict, candidate.gold)
            if candidate.gold is not None and candidate.probability is not None:
                bins.add(candidate.probability, candidate.gold)
    path = folder / "journal.jsonl"
    batches: list[tuple[float, int]] = []
    spent = 0.0
    for each in read_journal(path):
        if "batches" in each:
            entry = Fields(each, str(path))
            batches += ((second / size, size) for second, size in _batches(entry))
            spent += entry.number("seconds")
    batches.sort()
    return {
        "records": records,
        "rejected_lines": sum(1 for _ in read_lines(folder / "rejects.jsonl")),
        "all": whole.document(),
        "types": {name: by_type[name].document() for name in sorted(by_type)},
        "calibration": _calibration(bins),
        "records_per_second": records / spent if spent else None,
        "seconds_a_candidate": {f"p{100 * share:g}": _percentile(batches, share) for share in PERCENTILES},
    }


def _batches(entry: Fields) -> Iterator[tuple[float, int]]:
    """Seconds and candidates of each batch."""
    for each in entry.array("batches"):
        match each:
            case [int() | float() as second, int() as size] if size > 0:
                yield second, size
            case _:
                raise FormatError(f"{entry.where}: batches are not seconds and candidates; it was changed")


def _calibration(bins: Bins) -> CalibrationRows:
    rows: list[BinRow] = [
        {"probability": b.probability, "personal": b.positive, "candidates": b.count} for b in bins.rows
    ]
    return {"bins": rows, "expected_calibration_error": bins.error}


def _percentile(ordered: Sequence[tuple[float, int]], share: float) -> float | None:
    """Over candidates, each of which takes its part of its batch's time."""
    wanted = share * sum(size for _, size in ordered)
    reached = 0
    for second, size in ordered:
        reached += size
        if reached >= wanted:
            return second
    return None


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
