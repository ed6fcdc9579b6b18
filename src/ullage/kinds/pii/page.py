"""A finished verification as a page: how much was verified, how well, how fast. No text is on it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, cast

from ullage.kinds.pii.curves import calibration_curve, threshold_curve
from ullage.reports.counted import counts, share, three
from ullage.reports.pages.page import Beside, Figure, Page, Part, Prose, Section
from ullage.reports.pages.table import Table
from ullage.reports.verification_page import comparison_table

if TYPE_CHECKING:
    from ullage.kinds.pii.summary import Summary
    from ullage.records.verification import Comparison


def page_of(found: Summary, title: str, model: str, memory: Sequence[Comparison]) -> Page:
    """`memory` are the levels of memory, planned and measured."""
    sections = [Section("Candidates", tuple(_candidates(found)))]
    if found["failures"]:
        sections.append(Section("Why candidates failed", (counts("why", found["failures"]),)))
    if found["redaction"]:
        sections.append(Section("Redacted texts", tuple(_redacted(found))))
    if found["all"]["labelled"]:
        sections += _of_labels(found)
    sections.append(Section("Speed", tuple(_speed(found))))
    if memory:
        sections.append(Section("Memory, planned and measured", (comparison_table(memory),)))
    return Page(title, tuple(sections), tuple(_opening(found, model)))


def _opening(found: Summary, model: str) -> Iterator[Part]:
    at = ""
    if found["threshold"] is not None:
        at = f", at threshold {three(found['threshold'])} and temperature {three(found['temperature'])}"
    yield Prose(f"{found['records']:,} records verified by {model}{at}.")
    if found["records_without_candidates"]:
        unread = ", ".join(found["unread_fields"])
        more = f"; their fields that are not read: {unread}" if unread else ""
        yield Prose(f"Records without candidates: {found['records_without_candidates']:,}{more}.")
    if found["rejected_lines"]:
        yield Prose(f"Lines that are no records: {found['rejected_lines']:,}; see the rejects file.")


def _candidates(found: Summary) -> Iterator[Part]:
    labelled = found["all"]["labelled"]
    scores = ("labelled", "precision", "recall", "F1") if labelled else ()
    names = ("verified", "rejected", "failed", "verification rate", *scores)
    rows = []
    for name, one in (*found["types"].items(), ("all", found["all"])):
        row = (name, *(f"{one[key]:,}" for key in ("verified", "rejected", "failed")))
        row = (*row, share(one["verification_rate"]))
        held = (f"{one['labelled']:,}", three(one["precision"]), three(one["recall"]), three(one["f1"]))
        rows.append((*row, *held) if labelled else row)
    yield Table(("type", *names), tuple(rows), frozenset(names))
    said = "Failed candidates could not be decided: they are neither verified nor rejected, and in no score."
    precision, recall = found["all"]["precision_interval"], found["all"]["recall_interval"]
    if precision and recall:
        said += (
            f" Of all, within 95 % (Wilson): precision {precision[0]:.3f} to {precision[1]:.3f}, "
            f"recall {recall[0]:.3f} to {recall[1]:.3f}."
        )
    yield Prose(said, "note")


def _redacted(found: Summary) -> Iterator[Part]:
    held = found["redaction"]
    assert held is not None
    yield Prose(
        f"{held['redacted']:,} of {found['records']:,} texts are redacted, {held['withheld']:,} withheld. "
        f"Places that were found only across case and normal form: {held['folded_places']:,}."
    )
    if held["reasons"]:
        yield counts("why withheld", held["reasons"])


def _of_labels(found: Summary) -> Iterator[Section]:
    """What only labelled candidates tell."""
    held = found["all"]["confusion"]
    names = ("verified", "rejected")
    rows = (
        ("personal data", f"{held['right_yes']:,}", f"{held['wrong_no']:,}"),
        ("none", f"{held['wrong_yes']:,}", f"{held['right_no']:,}"),
    )
    yield Section("Confusion", (Table(("", *names), rows, frozenset(names)),))
    if not found["by_threshold"]:
        return
    thresholds = tuple(
        (f"{one['threshold']:.2f}", f"{one['verified']:,}", three(one["precision"]), three(one["recall"]))
        for one in found["by_threshold"]
    )
    columns = ("threshold", "verified", "precision", "recall")
    drawn = Beside((Figure(threshold_curve(found)), Table(columns, thresholds, frozenset(columns))))
    said = Prose("Of labelled candidates; the dotted line is the threshold of this run.", "note")
    yield Section("Precision and recall by threshold", (drawn, said))
    yield Section("Calibration", tuple(_calibration(found)))


def _calibration(found: Summary) -> Iterator[Part]:
    held = found["calibration"]
    yield Prose(f"Expected calibration error {three(held['expected_calibration_error'])}.")
    rows = tuple(
        (three(one["probability"]), share(one["personal"]), f"{one['candidates']:,}") for one in held["bins"]
    )
    columns = ("mean probability", "personal data", "candidates")
    yield Beside((Figure(calibration_curve(held)), Table(columns, rows, frozenset(columns))))
    yield Prose(
        "A circle for each tenth of probability, larger for more candidates; on the grey line probabilities "
        "mean what they say.",
        "note",
    )


def _speed(found: Summary) -> Iterator[Part]:
    if found["records_per_second"]:
        yield Prose(f"{found['records_per_second']:,.4g} records a second, loading the model apart.")
    seconds = cast("Mapping[str, float | None]", found["seconds_a_candidate"])
    taken = ", ".join(
        f"{name} {'' if value is None else f'{1000 * value:,.1f}'}" for name, value in seconds.items()
    )
    yield Prose(f"A candidate's part of its batch takes, in milliseconds: {taken}.")
