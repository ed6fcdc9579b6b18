"""Probes that a run has fitted, as a section of its page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ullage.reports.counted import three, within
from ullage.reports.pages.page import Prose, Section
from ullage.reports.pages.table import Table

if TYPE_CHECKING:
    from ullage.records.fits import Fitted
    from ullage.reports.pages.words import Words


def fits_sections(fits: Sequence[Fitted]) -> tuple[Section, ...]:
    """How each was fitted and how well it does; nothing where none was."""
    if not fits:
        return ()
    numbers = (
        "fitted to",
        "held out",
        "AUROC there",
        "without system messages",
        "words alone",
        "shuffled labels",
        "threshold",
    )
    table = Table(("probe", "method", "site", *numbers), tuple(map(_row, fits)), frozenset(numbers))
    said = " ".join(map(_said, fits))
    note = (
        f"{said} Dialogues held out are of groups that were fitted to in no part. A probe that falls to "
        "chance without system messages has read the instruction."
    )
    return (Section("Probes fitted in this run", (table, Prose(note, "note"))),)


def _row(fit: Fitted) -> tuple[Words, ...]:
    without = _or_none(fit.without_roles) if fit.tried_without else "not tried"
    middle, low, high = fit.shuffled
    return (
        fit.name,
        fit.method,
        ", ".join(fit.sites),
        str(fit.fitted_to),
        str(fit.held_out),
        _auroc(fit),
        without,
        _or_none(fit.words),
        within(three(middle), (low, high)),
        three(fit.threshold),
    )


def _auroc(fit: Fitted) -> Words:
    if fit.auroc is None or fit.low is None or fit.high is None:
        return _or_none(fit.auroc)
    return within(three(fit.auroc), (fit.low, fit.high))


def _or_none(value: float | None) -> str:
    return "none" if value is None else three(value)


def _said(fit: Fitted) -> str:
    left = f"; {fit.left_out} too long were left out" if fit.left_out else ""
    return (
        f"{fit.name}: its site was chosen on {fit.chosen_on} more dialogues, its threshold set on "
        f"{fit.calibrated_on}{left}."
    )
