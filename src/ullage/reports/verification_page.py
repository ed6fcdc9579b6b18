"""Predicted beside measured, on the terminal and as JSON."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Annotated, Final, NotRequired

from rich import table as rich_table
from rich.console import Console
from rich.text import Text
from typing_extensions import TypedDict

from ullage.documents import ByName, document
from ullage.records.not_finite import KEY, NotFinite
from ullage.records.verification import Comparison, ReplicaComparison, TimeComparison, Verification
from ullage.reports.pages.table import Table
from ullage.reports.pages.words import Span, Tone, Words
from ullage.reports.tables import needed_width
from ullage.text import one_line
from ullage.units import MIB

STYLES = {"inside": "green", "below": "yellow", "above": "red"}
TONES: Final[dict[str, Tone]] = {"above": "bad"}
WORDS = {"inside": "inside", "below": "below", "above": "ABOVE"}


SCREEN: Final = 24
"""Rows up to which a run is shown whole."""
TIMES: Final = 8


def show_verification(found: Verification, console: Console, *, details: bool = False) -> None:
    """A row for each level and component that was measured. Of more than a screen, without `details`, each
    device's worst phase by level and component, and the longest phases' times."""
    if not found.comparisons:
        for line in found.remarks:
            console.print(Text(one_line(line), style="yellow"))
        console.print("nothing is compared: the plan holds no model here, or the run measured nothing of it")
        return
    shown, title = found.comparisons, "MiB: planned (expected, at most) beside measured"
    whole = details or len(shown) <= SCREEN
    if not whole:
        shown, title = worst(shown), f"{title}, worst of each device"
    console.print(_table(shown, title, console.width))
    above = [c for c in found.comparisons if c.kind == "level" and c.verdict == "above"]
    if above:
        console.print(Text(f"{len(above)} measurements exceed what was planned at most", style="red"))
    else:
        console.print("every measured peak is within what was planned at most")
    if found.replicas:
        console.print(_replicas(found.replicas if details else found.replicas[:SCREEN]))
    if len(found.replicas) > SCREEN and not details:
        console.print(Text(f"--details all {len(found.replicas)} replicas", style="dim"), highlight=False)
    times = found.times if whole else _longest(found.times)
    if times:
        console.print(_times(times))
    if found.not_finite is not None:
        console.print(Text(str(found.not_finite), style="yellow"))
    if not whole:
        more = f"--details all {len(found.comparisons)} comparisons"
        more += f" and {len(found.times)} times" if len(times) < len(found.times) else ""
        console.print(Text(more, style="dim"), highlight=False)


def worst(comparisons: Iterable[Comparison]) -> tuple[Comparison, ...]:
    """Of each device, level and component the comparison whose measurement is the largest share of what was
    planned at most; devices by name."""
    found: dict[tuple[str, str, str], Comparison] = {}
    for one in comparisons:
        key = (one.device, one.kind, one.what)
        found[key] = max(found.get(key, one), one, key=_used)
    return tuple(sorted(found.values(), key=lambda one: one.device))


def _used(one: Comparison) -> float:
    """The measurement as a share of what was planned at most."""
    if not one.predicted.high:
        return math.inf if one.measured else 0.0
    return one.measured / one.predicted.high


def _longest(times: Sequence[TimeComparison]) -> tuple[TimeComparison, ...]:
    least = sorted((one.measured for one in times), reverse=True)[:TIMES]
    return tuple(one for one in times if one.measured >= least[-1])


def _table(comparisons: Sequence[Comparison], title: str, width: int) -> rich_table.Table:
    table = rich_table.Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for name in ("device", "phase", "what"):
        table.add_column(name, no_wrap=name != "phase")
    for name in ("planned", "at most", "measured", "error"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for one in comparisons:
        table.add_row(*_cells(one), Text(WORDS[one.verdict], style=STYLES[one.verdict]))
    if needed_width(table) > width:
        table.padding = (0, 1, 0, 0)  # for the phases' names
    return table


def _times(times: Sequence[TimeComparison]) -> rich_table.Table:
    """What each phase was planned to take, and took; a plan's times are estimates, and break no promise."""
    title = f"seconds for {times[0].examples:,} examples: planned (from, to) beside measured"
    table = rich_table.Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    table.add_column("phase", overflow="fold")
    for name in ("planned", "from", "to", "measured", "error"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("by", no_wrap=True)
    table.add_column("", no_wrap=True)
    for one in times:
        low, expected, high = (f"{each:,.2f}" for each in one.predicted)
        cells = (
            one.phase,
            expected,
            low,
            high,
            f"{one.measured:,.2f}",
            f"{100 * one.error:+.0f} %",
            one.basis,
        )
        style = "green" if one.verdict == "inside" else "yellow"
        table.add_row(*cells, Text(one.verdict, style=style))
    return table


def _replicas(replicas: Sequence[ReplicaComparison]) -> rich_table.Table:
    """Of each replica and device the level that came nearest to what was planned at most."""
    title = "MiB by replica: the level nearest to its most, planned at most beside measured"
    table = rich_table.Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for name in ("replica", "node", "device"):
        table.add_column(name, overflow="fold")
    for name in ("partitions", "at most", "measured"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("of")
    table.add_column("", no_wrap=True)
    for each in replicas:
        levels = [one for one in each.comparisons if one.kind == "level"]
        for device in dict.fromkeys(one.device for one in levels):
            one = max((one for one in levels if one.device == device), key=_used)
            sizes = (f"{one.predicted.high / MIB:,.1f}", f"{one.measured / MIB:,.1f}")
            style = STYLES[one.verdict]
            said = Text(WORDS[one.verdict], style=style)
            table.add_row(each.actor, each.node, device, f"{each.partitions:,}", *sizes, one.what, said)
    return table


def _cells(one: Comparison) -> list[str]:
    predicted = one.predicted
    error = "-" if one.error is None else f"{100 * one.error:+.2f} %"
    return [
        one.device,
        one.phase,
        one.what,
        f"{predicted.expected / MIB:,.1f}",
        f"{predicted.high / MIB:,.1f}",
        f"{one.measured / MIB:,.1f}",
        error,
    ]


def comparison_table(comparisons: Iterable[Comparison], title: str = "") -> Table:
    """A row for each; MiB."""
    columns = ("device", "phase", "what", "planned MiB", "at most", "measured", "error", "")
    rows = tuple[tuple[Words, ...], ...]((*_cells(one), _verdict(one)) for one in comparisons)
    return Table(columns, rows, frozenset(columns[3:7]), title=title)


def _verdict(one: Comparison) -> Span:
    return Span(one.verdict, TONES.get(one.verdict, ""))


_LEVEL = ByName("device", "phase", "what", "kind", "predicted", "measured", "error", "verdict")
_TIME = ByName("phase", "examples", "predicted", "basis", "measured", "error", "verdict")


class ReplicaDocument(TypedDict):
    """One of several processes that did the run."""

    actor: str
    node: str
    partitions: int
    comparisons: list[Annotated[Comparison, _LEVEL]]


class VerificationDocument(TypedDict):
    """Bytes, seconds of times, and errors as shares of the measurement."""

    holds: bool
    comparisons: list[Annotated[Comparison, _LEVEL]]
    times: list[Annotated[TimeComparison, _TIME]]
    replicas: NotRequired[list[ReplicaDocument]]
    remarks: NotRequired[list[str]]
    not_finite: NotRequired[NotFinite]


def verification_document(found: Verification) -> dict[str, object]:
    """As JSON."""
    said = VerificationDocument(
        holds=found.holds, comparisons=list(found.comparisons), times=list(found.times)
    )
    if found.replicas:
        said["replicas"] = [
            ReplicaDocument(
                actor=each.actor,
                node=each.node,
                partitions=each.partitions,
                comparisons=list(each.comparisons),
            )
            for each in found.replicas
        ]
    if found.remarks:
        said["remarks"] = list(found.remarks)
    if found.not_finite is not None:
        said[KEY] = found.not_finite
    return document("verification", VerificationDocument, said)
