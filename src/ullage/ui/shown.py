"""What a planner page shows of a plan before its details: in short, its bars, and the plan beside it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ullage.reports.charts import table
from ullage.reports.pages.page import Beside, Figure, Fold, Items, Part, Section
from ullage.reports.pages.words import Span
from ullage.reports.plan_chart import plan_chart
from ullage.reports.plan_details import in_short
from ullage.ui.difference import difference

if TYPE_CHECKING:
    from ullage.planning.plan import Plan
    from ullage.reports.charts import Bars
    from ullage.ui.pages import View
    from ullage.ui.planned import Planned


def above(plan: Plan, view: View) -> Iterator[Part]:
    """Time, cost, warnings and bars; with a plan that was kept what differs from it."""
    chart = plan_chart(plan)
    yield from in_short(plan)
    if view.beside is None:
        yield Figure(chart)
        yield _as_tables(chart)
        return
    that = view.beside.plan
    if that is None:
        yield Section("Beside the plan that was kept", (_wrong(view.beside),), 3)
        yield _as_tables(chart)
        return
    kept = plan_chart(that)
    pair = (
        Figure(kept, _said("kept plan", view.state.than or ())),
        Figure(chart, _said("this plan", view.state.changes)),
    )
    yield Section("Beside the plan that was kept", (difference(plan, that), Beside(pair)), 3)
    yield _as_tables(chart, kept)


def _wrong(found: Planned) -> Items:
    return Items(tuple(Span(each.line) for each in found.wrong), "bad")


def _said(name: str, changes: Sequence[str]) -> str:
    return f"{name}: {', '.join(changes)}" if changes else name


def _as_tables(*charts: Bars) -> Fold:
    return Fold("These bars as a table", tuple(map(table, charts)))
