"""What verifications came to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ullage.kinds.pii.calibration import FEW, Calibration
from ullage.kinds.pii.summary import Compared, Paired, Summary
from ullage.reports.pages.page import Part, Prose
from ullage.reports.pages.table import Table
from ullage.units import GIB


def summary_page(found: Summary) -> Iterator[Part]:
    """Counts by type, scores where there are labels, speed."""
    labelled = bool(found["all"]["labelled"])
    rows = []
    for name, one in [*found["types"].items(), ("all", found["all"])]:
        counts = [f"{count:,}" for count in (one["verified"], one["rejected"], one["failed"])]
        scores = [_number(share) for share in (one["precision"], one["recall"], one["f1"]) if labelled]
        rows.append((name, *counts, *scores))
    measured = ("precision", "recall", "F1") if labelled else ()
    yield _table(("type", "verified", "rejected", "failed", *measured), rows)
    error = found["calibration"]["expected_calibration_error"]
    if error is not None:
        yield Prose(f"expected calibration error {error:.3f}")
    rate, latency = found["records_per_second"], found["seconds_a_candidate"]
    if rate:
        said = ", ".join(
            f"{name} {1000 * value:.1f} ms" for name, value in latency.items() if isinstance(value, float)
        )
        latencies = f"; a candidate takes {said}" if said else ""
        yield Prose(f"{found['records']:,} records, {rate:,.0f} a second{latencies}")
    for reason, count in found["failures"].items():
        yield Prose(f"failed: {count:,}: {reason}")
    redaction = found["redaction"]
    if redaction is not None:
        yield Prose(
            f"redacted: {redaction['redacted']:,} of {found['records']:,} records; places found by folding "
            f"alone: {redaction['folded_places']:,}"
        )
        for reason, count in redaction["reasons"].items():
            yield Prose(f"withheld: {count:,}: {reason}")
    without = found["records_without_candidates"]
    if without:
        unread = ", ".join(found["unread_fields"])
        beside = f"; their fields that are not read: {unread}" if unread else ""
        yield Prose(f"records without candidates: {without:,} of {found['records']:,}{beside}")
    if found["rejected_lines"]:
        yield Prose(f"lines that are no records: {found['rejected_lines']:,}; see the rejects file")


def comparison_page(rows: Sequence[Compared]) -> Iterator[Part]:
    """One line a run, and below it between which values its scores lie."""
    names = [row["run"] for row in rows]
    lines = []
    for name, row in zip(names, rows, strict=True):
        scores = (row["precision"], row["recall"], row["f1"], row["calibration_error"])
        rate = row["records_per_second"]
        speed = "" if rate is None else f"{rate:,.0f}"
        memory = f"{row['peak_process_bytes'] / GIB:.2f}"
        lines.append((name, row["weights"], *map(_number, scores), speed, memory, f"{row['failed']:,}"))
    measured = ("precision", "recall", "F1", "calibration error")
    yield _table(("run", "weights", *measured, "records/s", "GiB", "failed"), lines)
    for name, row in zip(names, rows, strict=True):
        if row["labelled"]:
            spans = (row["precision_interval"], row["recall_interval"], row["f1_interval"])
            told = zip(measured, map(_between, spans), strict=False)
            yield Prose(f"{name}: {', '.join(f'{said} {span}' for said, span in told)}")
        if 0 < row["labelled"] < FEW:
            yield Prose(f"{name}: {row['labelled']:,} labelled candidates are few")
    if any(row["labelled"] for row in rows):
        yield Prose("intervals are Wilson's of 95 %")
    for name, row in zip(names, rows, strict=True):
        if row["beside_first"] is not None:
            yield Prose(f"{name}: beside {names[0]}, {_beside(row['beside_first'])}")


def _beside(found: Paired) -> str:
    """What tells two runs apart."""
    said = f"{found['other_verdicts']:,} of {found['candidates']:,} verdicts differ"
    if found["unpaired"]:
        said += f", {found['unpaired']:,} candidates are in one alone"
    if found["p_value"] is None:
        return said
    alone = f"right here alone: {found['only_this_right']:,}, there alone: {found['only_first_right']:,}"
    return f"{said}; {alone}; p = {found['p_value']:.3g} (McNemar's exact test)"


def calibration_page(found: Calibration) -> Iterator[Part]:
    """Temperature, threshold, and what they come to on labels held out."""
    yield Prose(
        f"temperature {found.temperature:.3f}, threshold {found.threshold:.3f}, from "
        f"{found.candidates:,} labelled candidates"
    )
    on = f"{found.held_out:,} candidates held out" if found.held_out else "the same candidates, none held out"
    error = f"{found.error_before:.3f} -> {found.error_after:.3f}"
    scores = f"precision {_number(found.precision)}, recall {_number(found.recall)}"
    yield Prose(f"on {on}: calibration error {error}, {scores}")
    spans = {
        "temperature": found.temperature_interval,
        "calibration error": found.error_after_interval,
        "precision": found.precision_interval,
        "recall": found.recall_interval,
    }
    said = ", ".join(f"{name} {_between(span)}" for name, span in spans.items())
    yield Prose(f"95 %: {said} (the last two Wilson's, the others of resampled records)")
    if found.warning:
        yield Prose(found.warning)


def _between(span: tuple[float, float] | None) -> str:
    return "unknown" if span is None else f"{span[0]:.3f} to {span[1]:.3f}"


def _table(columns: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> Table:
    return Table(columns, tuple(rows), frozenset(columns[1:]))


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
