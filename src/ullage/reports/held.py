"""Bills and records as tables, for a notebook."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ullage.reports.figures import whole
from ullage.reports.items import layers_of, merged_in
from ullage.reports.pages.html import tables
from ullage.reports.pages.page import Page, Section
from ullage.reports.pages.table import Table
from ullage.units import MIB

if TYPE_CHECKING:
    from ullage.planning.bill import Bill
    from ullage.records.record import Record


def bill_table(bill: Bill) -> str:
    """HTML: what is on each device in each phase, and every reason for it, in GiB."""
    totals = tuple(
        (device, phase, *map(whole, held))
        for device, phases in bill.totals.items()
        for phase, held in phases.items()
    )
    items = tuple(
        (
            *(item.device, item.phase, item.role, item.component.replace("_", " "), layers_of(item)),
            *(whole(item.bytes), item.basis, item.note),
        )
        for item in merged_in(bill, None)
        if item.bytes.high
    )
    levels = ("live", "reserved", "process", "device")
    held = Table(("on", "phase", *levels), totals, frozenset(levels))
    columns = ("on", "phase", "role", "component", "layers", "GiB", "basis", "why")
    parts = (Section("GiB by device and phase", (held,)), Section("Line items", (Table(columns, items),)))
    return tables(Page("Bill", parts))


def record_table(record: Record) -> str:
    """HTML: the peaks that a run measured, in MiB, and how much was done."""
    columns = ("on", "phase", "live", "reserved", "process", "device")
    rows = tuple(
        (each.device, each.phase, *map(_size, (each.live, each.reserved, each.process, each.on_device)))
        for each in record.measured
    )
    title = f"{repr(record)[1:-1]}; MiB"
    measured = Table(columns, rows, frozenset(columns[2:]))
    return tables(Page("Record", (Section(title, (measured,)),)))


def _size(value: int | None) -> str:
    return "" if value is None else f"{value / MIB:,.2f}"
