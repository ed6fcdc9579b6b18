"""A sweep as a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from ullage.planning.document import header, set_totals
from ullage.reports.plan_page import STYLES, _number, _table

if TYPE_CHECKING:
    from ullage.planning.plan import Plan


@dataclass(frozen=True, slots=True)
class Row:
    """The plan with these (path, value) settings."""

    settings: tuple[tuple[str, str], ...]
    plan: Plan


def sweep_document(rows: Sequence[Row]) -> dict[str, object]:
    """Settings, verdict and totals of each plan."""
    listed = [
        {
            "settings": dict(row.settings),
            "verdict": row.plan.verdict,
            "total": set_totals(row.plan.devices),
        }
        for row in rows
    ]
    return {**header("sweep"), "rows": listed}


def show_sweep(rows: Sequence[Row], console: Console) -> None:
    table = _table("peak per device: at most, GiB")
    for path, _ in rows[0].settings:
        table.add_column(path, justify="right")
    for device in rows[0].plan.devices:
        table.add_column(device.name, justify="right")
    table.add_column("verdict")
    table.add_column("$/1000", justify="right")
    for row in rows:
        verdict = row.plan.verdict
        cost = row.plan.cost
        table.add_row(
            *(value for _, value in row.settings),
            *(_number(device.peak.device.high) for device in row.plan.devices),
            Text(verdict, style=STYLES[verdict]),
            ""
            if cost is None or cost.usd_per_1000_examples is None
            else f"{cost.usd_per_1000_examples.expected:,.2f}",
        )
    console.print(table)
