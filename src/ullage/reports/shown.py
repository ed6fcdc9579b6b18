"""Plans and verifications as text, as tables for a notebook, and as documents."""

from __future__ import annotations

from collections.abc import Iterable
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
from ullage.reports.latency_page import latency_tables
from ullage.reports.pages.html import parts, tables
from ullage.reports.pages.page import Figure, Page, Part
from ullage.reports.pages.screen import show
from ullage.reports.plan_chart import plan_chart
from ullage.reports.plan_details import devices_table, in_detail
from ullage.reports.plan_page import plan_page
from ullage.reports.renting_document import renting_document
from ullage.reports.renting_page import renting_page, renting_table
from ullage.reports.svg import Drawing
from ullage.reports.times_page import times_table
from ullage.reports.verification_page import comparison_table, verification_document, verification_page

WIDTH: Final = 140
"""Columns of a page that no terminal bounds."""


Value = Audit | ClusterPlan | Plan | Renting | Verification


def page(value: Value) -> str:
    """What the terminal shows of it, without colour."""
    if isinstance(value, Plan):
        return _printed((plan_page(value),))
    if isinstance(value, Renting):
        return _printed(renting_page(value))
    if isinstance(value, Audit):
        return _printed(audit_page(value))
    if isinstance(value, ClusterPlan):
        return _printed(cluster_page(value))
    return _printed(verification_page(value))


def details(value: Value) -> str:
    """What `--details` adds to the page of a plan, all of a verification; there is no more of others."""
    if isinstance(value, Verification):
        return _printed(verification_page(value, details=True))
    return _printed(in_detail(value)).strip("\n") if isinstance(value, Plan) else page(value)


def _printed(parts: Page | Iterable[Part]) -> str:
    file = StringIO()
    show(parts, PlainConsole(file=file, width=WIDTH, color_system=None, legacy_windows=False))
    return "\n".join(line.rstrip() for line in file.getvalue().splitlines())


def table(value: Value) -> str:
    """HTML without style or script: a plan's bars, devices, times and what its requests take, the sets that
    may be rented, claims, a verification's comparisons."""
    if isinstance(value, Audit):
        return tables(audit_page(value, everything=True, exact=True))
    if isinstance(value, ClusterPlan):
        return tables(cluster_page(value))
    if isinstance(value, Renting):
        return "".join(parts([renting_table(value, repr(value)[1:-1])]))
    if isinstance(value, Plan):
        more = [times_table(value.times)] if value.times else []
        more += [] if value.latency is None else latency_tables(value.latency)
        return "".join(parts((Figure(plan_chart(value)), devices_table(value), *more)))
    return "".join(parts([comparison_table(value.comparisons, f"{repr(value)[1:-1]}; MiB")]))


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
