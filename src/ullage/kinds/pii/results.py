"""What a finished verification comes to: how much was verified, how well, how fast."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from ullage.documents import adapter
from ullage.errors import FormatError
from ullage.fields import Fields
from ullage.files import read_text
from ullage.kinds.pii.page import page_of
from ullage.kinds.pii.section import VERIFIER
from ullage.kinds.pii.summary import BinRow, CalibrationRows, Summary
from ullage.kinds.pii.tally import RedactionTally, Tally, Thresholds
from ullage.kinds.pii.verified import read_verified
from ullage.measures.calibration import Bins
from ullage.records.atomic import write_json, write_text
from ullage.records.folder import JOURNAL, RunFolder
from ullage.records.journal import read_journal
from ullage.records.lines import read_lines
from ullage.records.record import Record
from ullage.records.verification import verify
from ullage.reports.pages.html import html
from ullage.spec.workload import Workload

SUMMARY: Final = "summary.json"
LARGEST_SUMMARY: Final = 64 * 2**20
"""Bytes; one has a few thousand for each type."""
PAGE: Final = "report.html"
MOST_REASONS: Final = 20
OTHER_REASONS: Final = "other reasons; see the failed file"
MOST_UNREAD: Final = 20
"""Fields that are named."""


def report(run: RunFolder, workload: Workload, base: Path, record: Record) -> tuple[Path, ...]:
    """Writes a run's summary and page; their paths. Nothing of any text is in them."""
    table, page = run.path / SUMMARY, run.path / PAGE
    found = summary(run.path)
    write_json(table, found)
    role = workload.roles[VERIFIER]
    memory = [one for one in verify(run.manifest().plan, record).comparisons if one.kind == "level"]
    title = workload.name or "verification"
    write_text(page, html(page_of(found, title, role.model, memory)))
    return table, page


def read_summary(folder: Path) -> Summary:
    """The summary that a finished run wrote. Raises FormatError where there is none."""
    path = folder / SUMMARY
    try:
        found: Summary = adapter(Summary).validate_json(read_text(path, LARGEST_SUMMARY))
    except (OSError, ValueError, RecursionError) as error:
        raise FormatError(f"{path}: cannot be read; `ullage report {folder}` writes it anew") from error
    return found


def summary(folder: Path) -> Summary:
    """Counts by type, scores where there are labels, calibration, latency; read line by line."""
    whole, by_type = Tally(), dict[str, Tally]()
    bins, thresholds, redaction, failures = Bins(), Thresholds(), RedactionTally(), Counter[str]()
    records = without = 0
    for row in read_verified(folder):
        records += 1
        without += not row.candidates
        redaction.add(row)
        for candidate in row.candidates:
            for tally in (whole, by_type.setdefault(candidate.type, Tally())):
                tally.add(candidate.verdict, candidate.gold)
            if candidate.gold is not None and candidate.probability is not None:
                bins.add(candidate.probability, candidate.gold)
                thresholds.add(candidate.probability, candidate.gold)
            if candidate.verdict == "failed":
                known = candidate.reason in failures or len(failures) < MOST_REASONS
                failures[candidate.reason if known else OTHER_REASONS] += 1
    done = _Done()
    for entry in read_journal(folder / JOURNAL):
        done.add(Fields(entry, str(folder / JOURNAL)))
    done.batches.sort()
    return {
        "records": records,
        "records_without_candidates": without,
        "unread_fields": dict(done.unread.most_common(MOST_UNREAD)),
        "rejected_lines": sum(1 for _ in read_lines(folder / "rejects.jsonl")),
        "all": whole.document(),
        "types": {name: by_type[name].document() for name in sorted(by_type)},
        "threshold": done.threshold,
        "temperature": done.temperature,
        "by_threshold": thresholds.rows,
        "failures": dict(failures.most_common()),
        "redaction": redaction.document(),
        "calibration": _calibration(bins),
        "records_per_second": records / done.seconds if done.seconds else None,
        "seconds_a_candidate": {
            "p50": _percentile(done.batches, 0.5),
            "p90": _percentile(done.batches, 0.9),
            "p95": _percentile(done.batches, 0.95),
            "p99": _percentile(done.batches, 0.99),
        },
    }


@dataclass(slots=True)
class _Done:
    """What a journal tells of its batches: seconds a candidate and candidates of each; seconds of all.

    `unread` are fields of records without candidates that were not read, and how many have them; threshold
    and temperature are the last that were written down.
    """

    batches: list[tuple[float, int]] = field(default_factory=list)
    seconds: float = 0.0
    unread: Counter[str] = field(default_factory=Counter)
    threshold: float | None = None
    temperature: float | None = None

    def add(self, entry: Fields) -> None:
        if "batches" not in entry:
            return
        self.batches += ((second / size, size) for second, size in _batches(entry))
        self.seconds += entry.number("seconds")
        if "unread" in entry:
            unread = entry.inner("unread")
            self.unread.update({name: unread.whole(name) for name in unread.values})
        if "threshold" in entry:
            self.threshold = entry.number("threshold")
        if "temperature" in entry:
            self.temperature = entry.number("temperature")


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
