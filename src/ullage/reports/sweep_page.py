"""A sweep as a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from rich.console import Console
from rich.text import Text

from ullage.reports.figures import dollars, durations, whole
from ullage.reports.plan_details import show_items
from ullage.reports.plan_page import kinds_of
from ullage.reports.tables import STYLES, Footnotes, new_table, print_table

if TYPE_CHECKING:
    from ullage.planning.plan import Plan
    from ullage.planning.verdict import Verdict


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
    """A row for each point: the fullest device of each kind and what lies elsewhere, verdict, time and cost.
    What was refused is said below; `items` shows the line items of every point."""
    peaks = [{} if row.plan is None else _peaks(row.plan) for row in rows]
    devices = list(dict.fromkeys(name for each in peaks for name in each))
    paths = [path for path, _ in rows[0].settings]
    last = ("verdict", "time", "$/1000")
    table = new_table("peak GiB of the fullest", (*paths, *devices, *last), (*paths, *devices, "$/1000"))
    why = Footnotes()
    for row, peak in zip(rows, peaks, strict=True):
        found = row.plan
        usd = None if found is None or found.cost is None else found.cost.usd_per_1000_examples
        table.add_row(
            *(value for _, value in row.settings),
            *(peak.get(name, "") for name in devices),
            Text(f"{row.verdict} {why.mark(row.refused)}".rstrip(), style=STYLES.get(row.verdict, "red")),
            "" if found is None else durations(found.total_seconds),
            "" if usd is None else dollars(usd).removeprefix("$"),
        )
    print_table(table, console)
    why.print(console)
    for row in rows:
        if items and row.plan is not None:
            point = " ".join(f"{path}={value}" for path, value in row.settings)
            console.print(Text(f"\n{point}", style="bold"))
            show_items(row.plan, console, everything=True)


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
