"""Plans and verifications as text, as tables for a notebook, and as documents."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from html import escape
from io import StringIO
from typing import Final

from ullage.documents import document as as_document
from ullage.planning.audit import Audit
from ullage.planning.cluster.cluster_plan import ClusterPlan
from ullage.planning.document import plan_document
from ullage.planning.plan import Plan
from ullage.planning.renting import Renting
from ullage.records.verification import Verification
from ullage.reports.audit_document import audit_document
from ullage.reports.audit_page import audit_page
from ullage.reports.cluster_page import cluster_page
from ullage.reports.console import PlainConsole
from ullage.reports.latency_page import latency_grids
from ullage.reports.pages.html import tables
from ullage.reports.pages.screen import show_page
from ullage.reports.plan_chart import plan_chart
from ullage.reports.plan_details import show_details
from ullage.reports.plan_page import show_plan
from ullage.reports.renting_document import renting_document
from ullage.reports.renting_page import renting_grid, show_renting
from ullage.reports.svg import Drawing, drawn
from ullage.reports.times_page import times_grid
from ullage.reports.verification_page import show_verification, verification_document
from ullage.text import visible
from ullage.units import GIB, MIB

WIDTH: Final = 140
"""Columns of a page that no terminal bounds."""


Value = Audit | ClusterPlan | Plan | Renting | Verification


def page(value: Value) -> str:
    """What the terminal shows of it, without colour."""
    if isinstance(value, Plan):
        return _printed(partial(show_plan, value))
    if isinstance(value, Renting):
        return _printed(partial(show_renting, value))
    if isinstance(value, Audit):
        return _printed(partial(show_page, audit_page(value)))
    if isinstance(value, ClusterPlan):
        return _printed(partial(show_page, cluster_page(value)))
    return _printed(partial(show_verification, value))


def details(value: Value) -> str:
    """What `--details` adds to the page of a plan; there is no more of others."""
    return _printed(partial(show_details, value)).strip("\n") if isinstance(value, Plan) else page(value)


def _printed(show: Callable[[PlainConsole], None]) -> str:
    file = StringIO()
    show(PlainConsole(file=file, width=WIDTH, color_system=None, legacy_windows=False))
    return "\n".join(line.rstrip() for line in file.getvalue().splitlines())


def table(value: Value) -> str:
    """HTML without style or script: a plan's bars, devices, times and what its requests take, the sets that
    may be rented, claims, a verification's comparisons."""
    if isinstance(value, Audit):
        return tables(audit_page(value, everything=True, exact=True))
    if isinstance(value, ClusterPlan):
        return tables(cluster_page(value))
    if isinstance(value, Renting):
        grid = renting_grid(value)
        return _table(f"{grid.title} {grid.caption}".strip(), grid.columns, grid.rows)
    if isinstance(value, Plan):
        columns = ("device", "GPU", "verdict", "peak GiB", "at most", "usable", "ullage", "peak in")
        rows = [
            (
                device.name,
                device.gpu,
                device.verdict,
                _size(device.peak.device.expected, GIB),
                _size(device.peak.device.high, GIB),
                _size(device.usable, GIB),
                _size(device.ullage, GIB),
                device.peak_phase,
            )
            for device in value.devices
        ]
        grids = [] if value.latency is None else [*latency_grids(value.latency)]
        grids = [times_grid(value.times), *grids] if value.times else grids
        more = (_table(f"{grid.title} {grid.caption}".strip(), grid.columns, grid.rows) for grid in grids)
        return "".join((drawn(plan_chart(value)), _table(repr(value)[1:-1], columns, rows), *more))
    columns = ("device", "phase", "what", "planned MiB", "at most", "measured", "error", "")
    cells = [
        (
            one.device,
            one.phase,
            one.what,
            _size(one.predicted.expected, MIB),
            _size(one.predicted.high, MIB),
            _size(one.measured, MIB),
            "" if one.error is None else f"{100 * one.error:+.2f} %",
            one.verdict,
        )
        for one in value.comparisons
    ]
    return _table(repr(value)[1:-1], columns, cells)


def chart(value: Plan) -> Drawing:
    """What each device holds in each phase."""
    return Drawing(plan_chart(value))


def document(value: Value) -> dict[str, object]:
    """What `--json` prints of it."""
    if isinstance(value, Renting):
        return renting_document(value)
    if isinstance(value, Audit):
        return audit_document(value)
    if isinstance(value, ClusterPlan):
        return as_document("cluster", ClusterPlan, value)
    return plan_document(value) if isinstance(value, Plan) else verification_document(value)


def _size(value: int | None, unit: int) -> str:
    return "" if value is None else f"{value / unit:,.2f}"


def _table(caption: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Every cell is escaped: names come from files that anyone may have written."""
    head = "".join(f"<th>{escape(name)}</th>" for name in columns)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(visible(cell))}</td>" for cell in row) + "</tr>" for row in rows
    )
    return (
        f"<table><caption>{escape(visible(caption))}</caption>"
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    )
