"""Two evaluations held against each other, as a page and as JSON."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Final

from ullage.documents import document
from ullage.reports.pages.page import Part, Prose
from ullage.reports.pages.table import Table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ullage.kinds.evaluate.paired import PairedEvaluations, PairedMeasure

FEW: Final = 4
"""Measures that are named one by one."""
LEAST: Final = 0.001
"""The p-value below which digits say nothing."""


def paired_document(found: PairedEvaluations) -> dict[str, object]:
    """All of it."""
    from ullage.kinds.evaluate.paired import PairedEvaluations

    return document("compared", PairedEvaluations, found)


def paired_page(found: PairedEvaluations) -> Iterator[Part]:
    """Accuracies by label, then what the measures of uncertainty gain or lose."""
    alone = f", {found['unpaired']:,} are in one of them alone" if found["unpaired"] else ""
    yield Prose(f"{found['questions']:,} questions are in both runs{alone}")
    accuracies = []
    for each in found["labels"]:
        shares = (_number(each["first"]), _number(each["second"]))
        lone = (f"{each['only_first_right']:,}", f"{each['only_second_right']:,}")
        row = (each["label"], f"{each['questions']:,}", *shares, *lone, _chance(each["p_value"]))
        accuracies.append(row)
    numbers = ("questions", "first", "second", "only first", "only second", "p")
    yield Table(("accuracy", *numbers), tuple(accuracies), frozenset(numbers))
    gains = []
    for one in found["measures"]:
        if not one["reason"]:
            between = f"{_number(one['low'])} to {_number(one['high'])}"
            count = f"{one['questions']:,}"
            gains.append((one["label"], one["measure"], count, _number(one["difference"]), between))
    if gains:
        columns = ("AUROC, second less first", "measure", "questions", "difference", "95 %")
        yield Table(columns, tuple(gains), frozenset({"questions", "difference"}))
    yield from (Prose(line, "note") for line in _without(found["measures"]))


def _without(measures: Sequence[PairedMeasure]) -> Iterator[str]:
    """Why there is no difference, once for all measures of a label of which the same is true."""
    for (label, reason), rows in groupby(measures, lambda one: (one["label"], one["reason"])):
        names = [one["measure"] for one in rows]
        if reason:
            told = ", ".join(names) if len(names) < FEW else f"{len(names)} measures"
            yield f"no AUROC of {told} by {label}: {reason}"


def _chance(value: float | None) -> str:
    """A p-value, which is never nothing."""
    if value is None:
        return "-"
    return f"{value:.3f}" if value >= LEAST else f"< {LEAST}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
