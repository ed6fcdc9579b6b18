"""Two evaluations held against each other, on the terminal and as JSON."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Final

from rich.table import Table

from ullage.documents import document
from ullage.reports.tables import new_table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import Console

    from ullage.kinds.evaluate.paired import PairedEvaluations, PairedMeasure

FEW: Final = 4
"""Measures that are named one by one."""
LEAST: Final = 0.001
"""The p-value below which digits say nothing."""


def paired_document(found: PairedEvaluations) -> dict[str, object]:
    """All of it."""
    from ullage.kinds.evaluate.paired import PairedEvaluations

    return document("compared", PairedEvaluations, found)


def show_paired(found: PairedEvaluations, console: Console) -> None:
    """Accuracies by label, then what the measures of uncertainty gain or lose."""
    alone = f", {found['unpaired']:,} are in one of them alone" if found["unpaired"] else ""
    console.print(f"{found['questions']:,} questions are in both runs{alone}")
    accuracies = _table("accuracy", "questions", "first", "second", "only first", "only second", "p")
    for each in found["labels"]:
        shares = [_number(each["first"]), _number(each["second"])]
        lone = [f"{each['only_first_right']:,}", f"{each['only_second_right']:,}"]
        accuracies.add_row(each["label"], f"{each['questions']:,}", *shares, *lone, _chance(each["p_value"]))
    console.print(accuracies)
    gains = _table("AUROC, second less first", "measure", "questions", "difference", "95 %")
    for one in found["measures"]:
        if not one["reason"]:
            between = f"{_number(one['low'])} to {_number(one['high'])}"
            count = f"{one['questions']:,}"
            gains.add_row(one["label"], one["measure"], count, _number(one["difference"]), between)
    if gains.row_count:
        console.print(gains)
    for line in _without(found["measures"]):
        console.print(line, style="dim", markup=False, highlight=False)


def _without(measures: Sequence[PairedMeasure]) -> Iterator[str]:
    """Why there is no difference, once for all measures of a label of which the same is true."""
    for (label, reason), rows in groupby(measures, lambda one: (one["label"], one["reason"])):
        names = [one["measure"] for one in rows]
        if reason:
            told = ", ".join(names) if len(names) < FEW else f"{len(names)} measures"
            yield f"no AUROC of {told} by {label}: {reason}"


def _table(first: str, *others: str) -> Table:
    right = [name for name in others if name not in ("measure", "95 %")]
    return new_table("", (first, *others), right)


def _chance(value: float | None) -> str:
    """A p-value, which is never nothing."""
    if value is None:
        return "-"
    return f"{value:.3f}" if value >= LEAST else f"< {LEAST}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
