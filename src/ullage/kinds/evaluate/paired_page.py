"""Two evaluations held against each other, on the terminal and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

from ullage.planning.document import header

if TYPE_CHECKING:
    from rich.console import Console

    from ullage.kinds.evaluate.paired import PairedEvaluations


def paired_document(found: PairedEvaluations) -> dict[str, object]:
    """All of it."""
    return {**header("compared"), **found}


def show_paired(found: PairedEvaluations, console: Console) -> None:
    """Accuracies by label, then what the measures of uncertainty gain or lose."""
    alone = f", {found['unpaired']:,} are in one of them alone" if found["unpaired"] else ""
    console.print(f"{found['questions']:,} questions are in both runs{alone}")
    accuracies = _table("accuracy", "questions", "first", "second", "only first", "only second", "p")
    for each in found["labels"]:
        shares = [_number(each["first"]), _number(each["second"])]
        lone = [f"{each['only_first_right']:,}", f"{each['only_second_right']:,}"]
        accuracies.add_row(each["label"], f"{each['questions']:,}", *shares, *lone, _number(each["p_value"]))
    console.print(accuracies)
    gains = _table("AUROC, second less first", "measure", "questions", "difference", "95 %")
    for one in found["measures"]:
        between = one["reason"] or f"{_number(one['low'])} to {_number(one['high'])}"
        gains.add_row(
            one["label"], one["measure"], f"{one['questions']:,}", _number(one["difference"]), between
        )
    console.print(gains)


def _table(first: str, *others: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(first)
    for name in others:
        table.add_column(name, justify="left" if name in ("measure", "95 %") else "right")
    return table


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
