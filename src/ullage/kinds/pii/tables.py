"""What verifications came to, on the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

from rich.console import Console
from rich.table import Table

from ullage.kinds.pii.calibration import FEW, Calibration
from ullage.kinds.pii.summary import Compared, Paired, Summary
from ullage.units import GIB

BESIDE_RUN: Final = 77
"""Columns of a comparison beside the run's name."""


def show_summary(found: Summary, console: Console) -> None:
    """Counts by type, scores where there are labels, speed."""
    labelled = bool(found["all"]["labelled"])
    table = _table(
        "type", "verified", "rejected", "failed", *(("precision", "recall", "F1") if labelled else ())
    )
    for name, one in [*found["types"].items(), ("all", found["all"])]:
        counts = [f"{count:,}" for count in (one["verified"], one["rejected"], one["failed"])]
        scores = [_number(share) for share in (one["precision"], one["recall"], one["f1"]) if labelled]
        table.add_row(name, *counts, *scores)
    console.print(table)
    error = found["calibration"]["expected_calibration_error"]
    if error is not None:
        console.print(f"expected calibration error {error:.3f}")
    rate, latency = found["records_per_second"], found["seconds_a_candidate"]
    if rate:
        said = ", ".join(
            f"{name} {1000 * value:.1f} ms" for name, value in latency.items() if isinstance(value, float)
        )
        latencies = f"; a candidate takes {said}" if said else ""
        console.print(f"{found['records']:,} records, {rate:,.0f} a second{latencies}")
    for reason, count in found["failures"].items():
        console.print(f"failed: {count:,}: {reason}")
    redaction = found["redaction"]
    if redaction is not None:
        console.print(
            f"redacted: {redaction['redacted']:,} of {found['records']:,} records; places found by folding "
            f"alone: {redaction['folded_places']:,}"
        )
        for reason, count in redaction["reasons"].items():
            console.print(f"withheld: {count:,}: {reason}")
    without = found["records_without_candidates"]
    if without:
        unread = ", ".join(found["unread_fields"])
        beside = f"; their fields that are not read: {unread}" if unread else ""
        console.print(f"records without candidates: {without:,} of {found['records']:,}{beside}")
    if found["rejected_lines"]:
        console.print(f"lines that are no records: {found['rejected_lines']:,}; see the rejects file")


def show_comparison(rows: Sequence[Compared], console: Console) -> None:
    """One line a run; runs have numbers, and names above, where those leave no room for the rest."""
    names = [row["run"] for row in rows]
    if max(map(len, names), default=0) > console.width - BESIDE_RUN:
        for number, name in enumerate(names, 1):
            console.print(f"{number}  {name}", soft_wrap=True)
        names = [str(number) for number in range(1, len(rows) + 1)]
    table = _table(
        "run", "weights", "precision", "recall", "F1", "calibration error", "records/s", "GiB", "failed"
    )
    for name, row in zip(names, rows, strict=True):
        rate = row["records_per_second"]
        table.add_row(
            name,
            row["weights"],
            _number(row["precision"]),
            _number(row["recall"]),
            _number(row["f1"]),
            _number(row["calibration_error"]),
            "" if rate is None else f"{rate:,.0f}",
            f"{row['peak_process_bytes'] / GIB:.2f}",
            f"{row['failed']:,}",
        )
    console.print(table)
    for name, row in zip(names, rows, strict=True):
        if row["labelled"]:
            spans = (row["precision_interval"], row["recall_interval"], row["f1_interval"])
            scores = zip(("precision", "recall", "F1"), map(_between, spans), strict=True)
            console.print(f"{name}: {', '.join(f'{said} {span}' for said, span in scores)}")
        if 0 < row["labelled"] < FEW:
            console.print(f"{name}: {row['labelled']:,} labelled candidates are few")
    if any(row["labelled"] for row in rows):
        console.print("intervals are Wilson's of 95 %")
    for name, row in zip(names, rows, strict=True):
        if row["beside_first"] is not None:
            console.print(f"{name}: beside {names[0]}, {_beside(row['beside_first'])}")


def _beside(found: Paired) -> str:
    """What tells two runs apart."""
    said = f"{found['other_verdicts']:,} of {found['candidates']:,} verdicts differ"
    if found["unpaired"]:
        said += f", {found['unpaired']:,} candidates are in one alone"
    if found["p_value"] is None:
        return said
    alone = f"right here alone: {found['only_this_right']:,}, there alone: {found['only_first_right']:,}"
    return f"{said}; {alone}; p = {found['p_value']:.3g} (McNemar's exact test)"


def show_calibration(found: Calibration, console: Console) -> None:
    """Temperature, threshold, and what they come to on labels held out."""
    console.print(
        f"temperature {found.temperature:.3f}, threshold {found.threshold:.3f}, from "
        f"{found.candidates:,} labelled candidates"
    )
    on = f"{found.held_out:,} candidates held out" if found.held_out else "the same candidates, none held out"
    error = f"{found.error_before:.3f} -> {found.error_after:.3f}"
    scores = f"precision {_number(found.precision)}, recall {_number(found.recall)}"
    console.print(f"on {on}: calibration error {error}, {scores}")
    spans = {
        "temperature": found.temperature_interval,
        "calibration error": found.error_after_interval,
        "precision": found.precision_interval,
        "recall": found.recall_interval,
    }
    said = ", ".join(f"{name} {_between(span)}" for name, span in spans.items())
    console.print(f"95 %: {said} (the last two Wilson's, the others of resampled records)")
    if found.warning:
        console.print(found.warning)


def _between(span: tuple[float, float] | None) -> str:
    return "unknown" if span is None else f"{span[0]:.3f} to {span[1]:.3f}"


def _table(*names: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for place, name in enumerate(names):
        widest = max(map(len, name.split())) if " " in name else None
        side: Literal["left", "right"] = "left" if place == 0 else "right"
        table.add_column(name, justify=side, overflow="fold", max_width=widest)
    return table


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
