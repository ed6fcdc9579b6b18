"""What a planner page shows of a plan before its details: in short, its bars, and the plan beside it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ullage.reports.beside_price import another_label, other_counts
from ullage.reports.charts import table
from ullage.reports.figures import UNKNOWN, dollars, durations, number, whole
from ullage.reports.pages.page import Beside, Facts, Figure, Fold, Items, Part, Prose, Section
from ullage.reports.pages.words import Span
from ullage.reports.plan_chart import plan_chart
from ullage.reports.plan_page import kinds_of
from ullage.ui.difference import difference

if TYPE_CHECKING:
    from ullage.planning.plan import Plan
    from ullage.reports.charts import Bars
    from ullage.reports.plan_page import Kind
    from ullage.ui.pages import View
    from ullage.ui.planned import Planned


def above(plan: Plan, view: View) -> Iterator[Part]:
    """Memory, time, cost, warnings and bars; with a plan that was kept what differs from it."""
    yield Facts(tuple((name, (Prose(said),)) for name, said in _in_short(plan)))
    for line in plan.warnings:
        yield Prose(f"Warning: {line}", "warning")
    chart = plan_chart(plan)
    if view.beside is None:
        yield Figure(replace(chart, title="Memory by device and phase, GiB"))
        yield _as_tables(plan)
        return
    that = view.beside.plan
    if that is None:
        yield Section("Beside the plan that was kept", (_wrong(view.beside),), 3)
        yield _as_tables(plan)
        return
    kept = plan_chart(that)
    reach = max(chart.reach, kept.reach)  # one scale, so that bars side by side are as long as they are large
    pair = (
        Figure(_titled("kept plan", that, kept, reach), _said("kept plan", view.state.than or ())),
        Figure(_titled("this plan", plan, chart, reach), _said("this plan", view.state.changes)),
    )
    yield Section("Beside the plan that was kept", (difference(plan, that), Beside(pair)), 3)
    yield _as_tables(plan, that)


def _in_short(plan: Plan) -> Iterator[tuple[str, str]]:
    """What somebody who rents asks first: whether it fits and what stays free, how long, for how much."""
    for kind in kinds_of(plan):
        yield "memory", _memory(kind)
    count = plan.workload.examples
    of = "the one example" if count == 1 else f"all {count:,} examples"
    known = plan.times and plan.total_seconds is not None
    yield "time", f"{durations(plan.total_seconds)} for {of}" if known else f"{UNKNOWN}; a note says why"
    cost = plan.cost
    if cost is None:
        yield "cost", "no price is known for these cards"
        return
    if plan.total_usd is None:
        yield "cost", UNKNOWN
    else:
        each = "" if count == 1000 else f"; {dollars(cost.usd_per_1000_examples)} per 1000"
        yield "cost", f"{dollars(plan.total_usd)} for {of}{each}"
    said = f"{dollars(cost.usd_per_hour)} an hour ({cost.provider}, {cost.label} price as of {cost.as_of})"
    yield "price", "; ".join(filter(None, (said, another_label(cost), other_counts(cost))))


def _memory(kind: Kind) -> str:
    """The fullest of these devices at its fullest."""
    device = kind.fullest
    name = device.name if device.gpu == device.name else f"{device.name}, {device.gpu}"
    name += f", the fullest of {len(kind.devices)}" if len(kind.devices) > 1 else ""
    if not device.peak_phase or device.usable is None or device.ullage is None:
        return f"{name}: nothing is held there"
    held = f"{whole(device.peak.device)} of {number(device.usable)} GiB in {device.peak_phase}"
    left = f"{number(device.ullage)} GiB stay free"
    if device.ullage < 0:
        left = f"{number(-device.ullage)} GiB too much"
    return f"{held}; {left} ({name})"


def _titled(name: str, plan: Plan, chart: Bars, reach: float) -> Bars:
    return replace(chart, title=f"{name}: {plan.gpus.name}, {plan.verdict}", scale=reach)


def _wrong(found: Planned) -> Items:
    return Items(tuple(Span(each.line) for each in found.wrong), "bad")


def _said(name: str, changes: Sequence[str]) -> str:
    return f"{name}: {', '.join(changes) or 'the file as it is'}"


def _as_tables(*plans: Plan) -> Fold:
    return Fold("All bars as a table", tuple(table(plan_chart(plan, everything=True)) for plan in plans))
