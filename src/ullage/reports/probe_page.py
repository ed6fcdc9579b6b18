"""Fits and evaluations of probes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from ullage.reports.pages.page import Part, Prose
from ullage.reports.pages.table import Table

MOST_ROWS: Final = 40
BAR: Final = 24
BEYOND: Final = "{:,} dialogues beyond the model's window were left out"
FAR: Final = 1e-3
"""From which the distance to the optimum is shown as a warning."""


def fit_page(document: Mapping[str, Any]) -> Iterator[Part]:
    """The sweep, the test, its controls, and the transfer between sets."""
    yield from _sweep(document)
    parts = document["parts"]
    yield Prose(
        f"{document['method']} at {', '.join(document['sites'])}: fitted to {parts['fit']:,} dialogues, "
        f"chosen on {parts['choose']:,}, tested on {parts['test']:,} of other groups"
    )
    if "bound" in document["fit"]:
        far = document["fit"]["bound"]
        said = f"weights at most {far:.1%} of their length from the optimum (bound)"
        yield Prose(said, "warning" if far > FAR else "")
    chance = document["shuffled"]
    spread = f"{chance['least']:.3f} to {chance['most']:.3f}"
    rows = [
        ("probe, by dialogue", *_auroc(document["test"])),
        ("probe, by token", _number(document["test"]["token_auroc"]), ""),
        ("words alone", *_auroc(document["words"])),
        (f"shuffled labels, mean of {chance['draws']}", f"{chance['mean']:.3f}", spread),
    ]
    if document["without_roles"] is not None:
        rows.append(("without system messages", *_auroc(document["without_roles"])))
    yield _table(("on what was held out", "AUROC", "95 %"), rows)
    yield Prose(_flagged(document["flagged"]))
    if document["left_out"]:
        yield Prose(BEYOND.format(document["left_out"]), "warning")
    if document["transfer"]:
        yield _matrix("fitted to", document["transfer"])
    yield Prose(f"saved in {document['out']}")


def evaluation_page(document: Mapping[str, Any]) -> Iterator[Part]:
    """A row for each probe; sets beside one another."""
    rows = []
    for row in document["probes"]:
        test, bare = row["test"], row["without_roles"]
        found = _number(None if bare is None else bare["auroc"])
        counts = f"{test['dialogues']:,}"
        rows.append((row["probe"], counts, *_auroc(test), _number(test["token_auroc"]), found))
    yield _table(("probe", "dialogues", "AUROC", "95 %", "by token", "without roles"), rows)
    for row in document["probes"]:
        if row["flagged"] is not None:
            yield Prose(f"{row['probe']}: {_flagged(row['flagged'])}")
        yield from (Prose(f"{row['probe']}: {warning}", "warning") for warning in row["warnings"])
    if any(row["sets"] for row in document["probes"]):
        yield _matrix("probe", {row["probe"]: row["sets"] for row in document["probes"]})
    if document["left_out"]:
        yield Prose(f"{document['left_out']:,} of the dialogues were left out")


def scores_page(document: Mapping[str, Any]) -> Iterator[Part]:
    """What each probe flags of finished texts."""
    count = document["dialogues"] - document["empty"]
    rows = []
    for row in document["probes"]:
        if row["threshold"] is None:
            rows.append((row["name"], "-", "-", "-", "its card has no threshold"))
        else:
            share = f"{row['flagged'] / count:.1%}" if count else "-"
            flagged = f"{row['flagged']:,} of {count:,}"
            rows.append((row["name"], f"{row['threshold']:.4g}", flagged, share, row["control"]))
    columns = ("probe", "threshold", "flagged", "share", "calibrated on")
    yield Table(columns, tuple(rows), frozenset(columns[1:4]))
    for row in document["probes"]:
        if row["unscored"]:
            said = f"{row['name']}: {row['unscored']:,} have no score, as their states are no numbers"
            yield Prose(said, "warning")
        yield from (Prose(f"{row['name']}: {warning}", "warning") for warning in row["warnings"])
    if document["empty"]:
        said = f"{document['empty']:,} texts say nothing; their lines have no tokens and no scores"
        yield Prose(said, "warning")
    if document["left_out"]:
        yield Prose(BEYOND.format(document["left_out"]), "warning")
    yield Prose(
        f"scores of {document['tokens']:,} tokens in {document['out']}; what was planned and run is in "
        f"{document['run']}"
    )


def drift_page(document: Mapping[str, Any]) -> Iterator[Part]:
    """A row for each precision; how far scores moved in standard deviations of the first one's."""
    numbers = ("AUROC", "95 %", "correlation", "shift", "moved", "threshold", "recall", "false positives")
    rows = []
    for row in document["rows"]:
        at = row["flagged"] or {"recall": None, "false_positives": None}
        moves = (f"{row['correlation']:.4f}", f"{row['shift']:+.3f}", f"{row['moved']:.3f}")
        ends = (f"{row['threshold']:.4g}", _number(at["recall"]), _number(at["false_positives"]))
        rows.append((row["precision"], *_auroc(row["test"]), *moves, *ends))
    yield _table(("precision", *numbers), rows)
    first = document["rows"][0]["precision"]
    yield Prose(
        f"correlation, shift and mean distance of scores from those in {first}, in standard deviations; the "
        "threshold that label 0 would set; recall and false positives at the card's own"
    )


def _table(columns: tuple[str, ...], rows: Sequence[tuple[str, ...]], title: str = "") -> Table:
    """Of numbers, but for the first column."""
    return Table(columns, tuple(rows), frozenset(columns[1:]), title=title)


def _sweep(document: Mapping[str, Any]) -> Iterator[Part]:
    """AUROC where the choice was made, as bars from 0.5 to 1."""
    rows = document["sweep"]
    shown = rows if len(rows) <= MOST_ROWS else sorted(rows, key=lambda row: -row["auroc"])[:MOST_ROWS]
    lines = []
    for row in shown:
        length = round(max(row["auroc"] - 0.5, 0) * 2 * BAR)
        one = row["sites"] == document["sites"] and row["lambda"] == (document["lambda"] or 0)
        sites = row["sites"][0] if len(row["sites"]) == 1 else f"{len(row['sites'])} sites joined"
        bar = "#" * length + (" < chosen" if one else "")
        lines.append((sites, f"{row['lambda']:g}", f"{row['auroc']:.3f}", bar))
    yield Table(("site", "lambda", "AUROC", "0.5 to 1"), tuple(lines), frozenset({"lambda", "AUROC"}))
    if len(shown) < len(rows):
        yield Prose(f"and {len(rows) - len(shown):,} that did no better; fit.json has all")


def _flagged(found: Mapping[str, Any]) -> str:
    recall, alarms = found["recall"], found["false_positives"]
    shown = (
        "-" if recall is None else f"{recall:.1%} ({found['recall_low']:.1%} to {found['recall_high']:.1%})"
    )
    set_on = found["control"] or "unknown"
    if found["rate"] is not None:
        set_on = f"at most {found['rate']:.1%} of {set_on}"
    return (
        f"threshold {found['threshold']:.4g} ({set_on}): flags "
        f"{shown} of label 1 and {'-' if alarms is None else f'{alarms:.1%}'} of label 0"
    )


def _matrix(first: str, rows: Mapping[str, Mapping[str, float | None]]) -> Table:
    columns = list(dict.fromkeys(name for row in rows.values() for name in row))
    lines = [
        (name or "(no set)", *(_number(row.get(column)) for column in columns)) for name, row in rows.items()
    ]
    return _table((first, *(name or "(no set)" for name in columns)), lines, "AUROC by set")


def _auroc(told: Mapping[str, Any]) -> tuple[str, str]:
    if told["auroc"] is None:
        return "-", told["reason"]
    return f"{told['auroc']:.3f}", f"{told['low']:.3f} to {told['high']:.3f}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
