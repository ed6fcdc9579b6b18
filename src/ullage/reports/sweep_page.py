"""A sweep as a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from rich.console import Console
from rich.text import Text

from ullage.reports.figures import dollars, durations, whole
from ullage.reports.plan_details import show_items
from ullage.reports.plan_page import kinds_of
from ullage.reports.tables import STYLES, Footnotes, needed_width, new_table, print_stacked, print_table

if TYPE_CHECKING:
    from ullage.planning.plan import Plan
    from ullage.planning.verdict import Verdict


TITLE: Final = "peak GiB of the fullest"


@dataclass(frozen=True, slots=True)
class Row:
    """The plan with these (path, value) settings; without one, why it was refused."""

    settings: tuple[tuple[str, str], ...]
    plan: Plan | None
    refused: str = ""

    @property
    def verdict(self) -> Verdict | Literal["refused"]:
        return "refused" if self.plan is None else self.plan.verdict


def show_sweep(rows: Sequence[Row], console: Console, *, items: bool = False) -> None:
    """A row for each point: the fullest device of each kind and what lies elsewhere, verdict, time, and cost
    where any is known. In a narrow terminal a point's settings stand above its figures. What was refused is
    said below; `items` shows the line items of every point."""
    peaks = [{} if row.plan is None else _peaks(row.plan) for row in rows]
    devices = list(dict.fromkeys(name for each in peaks for name in each))
    paths = [path for path, _ in rows[0].settings]
    costs = [_usd(row.plan) for row in rows]
    last = ("verdict", "time", "$/1000") if any(costs) else ("verdict", "time")
    figures = new_table(TITLE, (*devices, *last), (*devices, "$/1000"))
    table = new_table(TITLE, (*paths, *devices, *last), (*paths, *devices, "$/1000"))
    why = Footnotes()
    for row, peak, usd in zip(rows, peaks, costs, strict=True):
        cells: tuple[str | Text, ...] = (
            *(peak.get(name, "") for name in devices),
            Text(f"{row.verdict} {why.mark(row.refused)}".rstrip(), style=STYLES.get(row.verdict, "red")),
            "" if row.plan is None else durations(row.plan.total_seconds),
            *([usd] if any(costs) else []),
        )
        figures.add_row(*cells)
        table.add_row(*(value for _, value in row.settings), *cells)
    if needed_width(table) <= console.width:
        print_table(table, console)
    else:
        print_stacked(figures, console, [_point(row) for row in rows])
    why.print(console)
    for row in rows:
        if items and row.plan is not None:
            console.print(Text(f"\n{_point(row)}", style="bold"))
            show_items(row.plan, console, everything=True)


def _point(row: Row) -> str:
    return " ".join(f"{path}={value}" for path, value in row.settings)


def _usd(plan: Plan | None) -> str:
    """Of 1000 examples; nothing where it is not known."""
    usd = None if plan is None or plan.cost is None else plan.cost.usd_per_1000_examples
    return "" if usd is None else dollars(usd).removeprefix("$")


def _peaks(plan: Plan) -> dict[str, str]:
    """Of each kind of device its fullest, and of host memory and disk."""
    found = {}
    for kind in kinds_of(plan):
        device = kind.fullest
        count = f"{len(kind.devices)}x " if len(kind.devices) > 1 else ""
        found[device.name if device.gpu == device.name else f"{count}{device.gpu}"] = whole(
            device.peak.device
        )
    return found | {each.name: whole(each.peak.device) for each in plan.devices if each.usable is None}
