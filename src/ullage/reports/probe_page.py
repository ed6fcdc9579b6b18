"""Fits and evaluations of probes on the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from rich.console import Console

from ullage.reports.tables import new_table

MOST_ROWS: Final = 40
BAR: Final = 24
FAR: Final = 1e-3
"""From which the distance to the optimum is shown as a warning."""


def show_fit(document: Mapping[str, Any], console: Console) -> None:
    """The sweep, the test, its controls, and the transfer between sets."""
    _sweep(document, console)
    parts = document["parts"]
    console.print()
    console.print(
        f"{document['method']} at {', '.join(document['sites'])}: fitted to {parts['fit']:,} dialogues, "
        f"chosen on {parts['choose']:,}, tested on {parts['test']:,} of other groups"
    )
    if "bound" in document["fit"]:
        far = document["fit"]["bound"]
        style = "yellow" if far > FAR else None
        console.print(f"weights at most {far:.1%} of their length from the optimum (bound)", style=style)
    table = new_table("", ("on what was held out", "AUROC", "95 %"), ("AUROC", "95 %"))
    table.add_row("probe, by dialogue", *_auroc(document["test"]))
    table.add_row("probe, by token", _number(document["test"]["token_auroc"]), "")
    table.add_row("words alone", *_auroc(document["words"]))
    chance = document["shuffled"]
    spread = f"{chance['least']:.3f} to {chance['most']:.3f}"
    table.add_row(f"shuffled labels, mean of {chance['draws']}", f"{chance['mean']:.3f}", spread)
    if document["without_roles"] is not None:
        table.add_row("without system messages", *_auroc(document["without_roles"]))
    console.print(table)
    _flagged(document["flagged"], console)
    if document["left_out"]:
        console.print(
            f"{document['left_out']:,} dialogues beyond the model's window were left out", style="yellow"
        )
    if document["transfer"]:
        console.print()
        _matrix("fitted to", document["transfer"], console)
    console.print(f"saved in {document['out']}")


def show_evaluation(document: Mapping[str, Any], console: Console) -> None:
    """A row for each probe; sets beside one another."""
    numbers = ("dialogues", "AUROC", "95 %", "by token", "without roles")
    table = new_table("", ("probe", *numbers), numbers)
    for row in document["probes"]:
        test, bare = row["test"], row["without_roles"]
        found = _number(None if bare is None else bare["auroc"])
        table.add_row(
            row["probe"], f"{test['dialogues']:,}", *_auroc(test), _number(test["token_auroc"]), found
        )
    console.print(table)
    for row in document["probes"]:
        if row["flagged"] is not None:
            console.print(f"{row['probe']}: ", end="")
            _flagged(row["flagged"], console)
        for warning in row["warnings"]:
            console.print(f"{row['probe']}: {warning}", style="yellow")
    if any(row["sets"] for row in document["probes"]):
        console.print()
        _matrix("probe", {row["probe"]: row["sets"] for row in document["probes"]}, console)
    if document["left_out"]:
        console.print(f"{document['left_out']:,} of the dialogues were left out")


def show_scores(document: Mapping[str, Any], console: Console) -> None:
    """What each probe flags of finished texts."""
    numbers = ("threshold", "flagged", "share")
    table = new_table("", ("probe", *numbers, "calibrated on"), numbers)
    count = document["dialogues"] - document["empty"]
    for row in document["probes"]:
        if row["threshold"] is None:
            table.add_row(row["name"], "-", "-", "-", "its card has no threshold")
        else:
            share = f"{row['flagged'] / count:.1%}" if count else "-"
            flagged = f"{row['flagged']:,} of {count:,}"
            table.add_row(row["name"], f"{row['threshold']:.4g}", flagged, share, row["control"])
    console.print(table)
    for row in document["probes"]:
        if row["unscored"]:
            said = f"{row['name']}: {row['unscored']:,} have no score, as their states are no numbers"
            console.print(said, style="yellow")
        for warning in row["warnings"]:
            console.print(f"{row['name']}: {warning}", style="yellow")
    if document["empty"]:
        said = f"{document['empty']:,} texts say nothing; their lines have no tokens and no scores"
        console.print(said, style="yellow")
    if document["left_out"]:
        console.print(
            f"{document['left_out']:,} dialogues beyond the model's window were left out", style="yellow"
        )
    console.print(
        f"scores of {document['tokens']:,} tokens in {document['out']}; what was planned and run is in "
        f"{document['run']}"
    )


def show_drift(document: Mapping[str, Any], console: Console) -> None:
    """A row for each precision; how far scores moved in standard deviations of the first one's."""
    numbers = ("AUROC", "95 %", "correlation", "shift", "moved", "threshold", "recall", "false positives")
    table = new_table("", ("precision", *numbers), numbers)
    for row in document["rows"]:
        at = row["flagged"] or {"recall": None, "false_positives": None}
        table.add_row(
            row["precision"],
            *_auroc(row["test"]),
            f"{row['correlation']:.4f}",
            f"{row['shift']:+.3f}",
            f"{row['moved']:.3f}",
            f"{row['threshold']:.4g}",
            _number(at["recall"]),
            _number(at["false_positives"]),
        )
    console.print(table)
    first = document["rows"][0]["precision"]
    console.print(
        f"correlation, shift and mean distance of scores from those in {first}, in standard deviations; the "
        "threshold that label 0 would set; recall and false positives at the card's own"
    )


def _sweep(document: Mapping[str, Any], console: Console) -> None:
    """AUROC where the choice was made, as bars from 0.5 to 1."""
    table = new_table("", ("site", "lambda", "AUROC", "0.5 to 1"), ("lambda", "AUROC"))
    rows = document["sweep"]
    shown = rows if len(rows) <= MOST_ROWS else sorted(rows, key=lambda row: -row["auroc"])[:MOST_ROWS]
    for row in shown:
        length = round(max(row["auroc"] - 0.5, 0) * 2 * BAR)
        one = row["sites"] == document["sites"] and row["lambda"] == (document["lambda"] or 0)
        sites = row["sites"][0] if len(row["sites"]) == 1 else f"{len(row['sites'])} sites joined"
        table.add_row(
            sites, f"{row['lambda']:g}", f"{row['auroc']:.3f}", "#" * length + (" < chosen" if one else "")
        )
    console.print(table)
    if len(shown) < len(rows):
        console.print(f"and {len(rows) - len(shown):,} that did no better; fit.json has all")


def _flagged(found: Mapping[str, Any], console: Console) -> None:
    recall, alarms = found["recall"], found["false_positives"]
    shown = (
        "-" if recall is None else f"{recall:.1%} ({found['recall_low']:.1%} to {found['recall_high']:.1%})"
    )
    set_on = found["control"] or "unknown"
    if found["rate"] is not None:
        set_on = f"at most {found['rate']:.1%} of {set_on}"
    console.print(
        f"threshold {found['threshold']:.4g} ({set_on}): flags "
        f"{shown} of label 1 and {'-' if alarms is None else f'{alarms:.1%}'} of label 0"
    )


def _matrix(first: str, rows: Mapping[str, Mapping[str, float | None]], console: Console) -> None:
    columns = list(dict.fromkeys(name for row in rows.values() for name in row))
    named = [name or "(no set)" for name in columns]
    table = new_table("AUROC by set", (first, *named), named)
    for name, row in rows.items():
        table.add_row(name or "(no set)", *(_number(row.get(column)) for column in columns))
    console.print(table)


def _auroc(told: Mapping[str, Any]) -> tuple[str, str]:
    if told["auroc"] is None:
        return "-", told["reason"]
    return f"{told['auroc']:.3f}", f"{told['low']:.3f} to {told['high']:.3f}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
