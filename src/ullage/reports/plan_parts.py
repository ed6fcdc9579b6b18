"""What a plan says, as parts of a page: `ullage plan --details --items` with every number's line items below
it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ullage.reports.figures import dollars, durations, number, rates, spread, whole
from ullage.reports.items import layers_of, merged
from ullage.reports.latency_page import latency_tables
from ullage.reports.pages.page import Fold, Items, Prose, Section
from ullage.reports.pages.table import Table
from ullage.reports.pages.words import Span, Words
from ullage.reports.plan_details import alike
from ullage.reports.storage_page import stored_lines

if TYPE_CHECKING:
    from ullage.planning.bill import LineItem
    from ullage.planning.phase_time import PhaseTime
    from ullage.planning.plan import DevicePlan, Plan


def in_full(plan: Plan) -> Iterator[Section]:
    """Memory by device and phase, times, decisions."""
    yield Section("Memory by device and phase", tuple(_devices(plan)), 3)
    if plan.times:
        latency = () if plan.latency is None else latency_tables(plan.latency)
        yield Section("Time and cost", (_times(plan), *latency), 3)
    rows = tuple((each.subject, each.choice, each.reason) for each in plan.decisions)
    yield Section("Decisions", (Table(("what", "chosen", "why"), rows),), 3)


def notes(plan: Plan) -> Section:
    """What lies on disk, what is hosted, and what else is to be known."""
    said = (*stored_lines(plan.stored), *_hosted(plan), *plan.notes)
    return Section("Notes", (Items(tuple(said), "note"),), 3)


def _hosted(plan: Plan) -> Iterator[str]:
    for each in plan.hosted:
        usd = (
            "set price_per_million to know its price" if each.usd is None else f"{dollars(each.usd)} for all"
        )
        yield f"{each.role}: {each.model} is hosted: {usd}"


def _devices(plan: Plan) -> Iterator[Section]:
    """Those with the same numbers stand once."""
    shown = alike(plan)
    items: dict[tuple[str, str], list[LineItem]] = {}
    for item in merged(plan, None):
        items.setdefault((item.device, item.phase), []).append(item)
    for device in plan.devices:
        if device.name not in shown or not plan.bill.totals.get(device.name):
            continue
        gpu = f" ({device.gpu})" if device.gpu != device.name else ""
        title = f"{shown[device.name]}{gpu}: {device.verdict}"
        yield Section(title, (Prose(_usable(plan, device), "note"), *_phases(plan, device, items)), 4)


def _usable(plan: Plan, device: DevicePlan) -> str:
    """What may be used of it, what is left, and how that is known."""
    said = "usable no limit given" if device.usable is None else f"usable {number(device.usable)}"
    if device.ullage is not None:
        said += f" GiB, ullage {number(device.ullage)} GiB"
    card = plan.card_of(device)
    return said if card is None else f"{said}; {card.usable_basis}: {card.usable_source}"


def _phases(plan: Plan, device: DevicePlan, items: dict[tuple[str, str], list[LineItem]]) -> Iterator[Fold]:
    totals = plan.bill.totals[device.name]
    for phase in plan.phases:
        if phase.name not in totals:
            continue
        found = totals[phase.name]
        levels = (("live", found.live), ("reserved", found.reserved), ("process", found.process))
        said = ", ".join(f"{name} {number(level.expected)}" for name, level in levels)
        peak = " (peak)" if phase.name == device.peak_phase else ""
        title = (f"{phase.name}{peak} ", Span(whole(found.device), "strong"), " GiB")
        note = f"expected GiB: {said}; of everything on the device {whole(found.device)}"
        table = _items(items.get((device.name, phase.name), []))
        yield Fold(title, (Prose(note, "note"), table))


def _items(items: list[LineItem]) -> Table:
    """Reasons for bytes."""
    rows = tuple(
        (
            item.role or "(process)",
            item.component.replace("_", " "),
            layers_of(item),
            whole(item.bytes),
            item.basis,
            item.note,
        )
        for item in items
    )
    columns = ("role", "component", "layers", "GiB (low-high)", "basis", "how it is known")
    return Table(columns, rows, frozenset(columns[2:4]))


def _times(plan: Plan) -> Table:
    numbers = ("seconds a pass", "tokens/s", "whole workload")
    rows = tuple(map(_time, plan.times))
    return Table(("phase", *numbers, "bound by", "basis"), rows, frozenset(numbers))


def _time(time: PhaseTime) -> tuple[Words, ...]:
    rate = rates(time.tokens_per_second) if time.tokens_per_second else ""
    source = f": {time.source}" if time.source else ""
    known = (time.basis, Span(source, "note"))
    return time.phase, spread(time.seconds), rate, durations(time.total_seconds), time.bound, known
