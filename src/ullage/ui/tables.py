"""A plan's figures as the page has them: each with what it is made of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from shlex import quote
from typing import TYPE_CHECKING

from ullage.reports.advice_page import in_short
from ullage.reports.figures import UNKNOWN, dollars, durations, number, rates, spread, whole
from ullage.reports.items import layers_of, merged
from ullage.reports.latency_page import latency_tables
from ullage.reports.plan_details import alike, priced
from ullage.reports.storage_page import stored_lines

if TYPE_CHECKING:
    from ullage.planning.advice.entry import Advice
    from ullage.planning.bill import LineItem
    from ullage.planning.plan import DevicePlan, Plan
    from ullage.reports.pages.table import Table


@dataclass(frozen=True, slots=True)
class Item:
    """One reason for bytes, in GiB."""

    role: str
    component: str
    layers: str
    gib: str
    basis: str
    note: str


@dataclass(frozen=True, slots=True)
class PhaseRow:
    """A phase on a device, in GiB: `device` is low, expected and high of everything on the card."""

    name: str
    peak: bool
    live: str
    reserved: str
    process: str
    device: str
    items: tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class DeviceTable:
    """One device, or several with the same numbers."""

    name: str
    gpu: str
    verdict: str
    usable: str
    known: str
    ullage: str
    phases: tuple[PhaseRow, ...]


@dataclass(frozen=True, slots=True)
class TimeRow:
    phase: str
    seconds: str
    rate: str
    total: str
    bound: str
    basis: str
    source: str


@dataclass(frozen=True, slots=True)
class Figures:
    """All that the page says of a plan."""

    title: str
    gpus: str
    verdict: str
    time: str
    cost: str
    price: str
    devices: tuple[DeviceTable, ...]
    times: tuple[TimeRow, ...]
    latency: tuple[Table, ...]
    decisions: tuple[tuple[str, str, str], ...]
    warnings: tuple[str, ...]
    notes: tuple[str, ...]
    stored: tuple[str, ...]


def figures_of(plan: Plan) -> Figures:
    """What `ullage plan --details --items` prints, as values."""
    return Figures(
        plan.title,
        plan.gpus.name,
        plan.verdict,
        durations(plan.total_seconds) if plan.times else UNKNOWN,
        dollars(plan.total_usd) if plan.cost is not None else "no price is known for these cards",
        _price(plan),
        tuple(_devices(plan)),
        tuple(_times(plan)),
        () if plan.latency is None else tuple(latency_tables(plan.latency)),
        tuple((each.subject, each.choice, each.reason) for each in plan.decisions),
        plan.warnings,
        (*_hosted(plan), *plan.notes),
        tuple(stored_lines(plan.stored)),
    )


def _price(plan: Plan) -> str:
    return "" if plan.cost is None else priced(plan.cost)


def _hosted(plan: Plan) -> Iterator[str]:
    for each in plan.hosted:
        usd = (
            "set price_per_million to know its price" if each.usd is None else f"{dollars(each.usd)} for all"
        )
        yield f"{each.role}: {each.model} is hosted: {usd}"


def _devices(plan: Plan) -> Iterator[DeviceTable]:
    shown = alike(plan)
    items: dict[tuple[str, str], list[LineItem]] = {}
    for item in merged(plan, None):
        items.setdefault((item.device, item.phase), []).append(item)
    for device in plan.devices:
        if device.name not in shown or not plan.bill.totals.get(device.name):
            continue
        card = plan.card_of(device)
        yield DeviceTable(
            shown[device.name],
            device.gpu,
            device.verdict,
            "no limit given" if device.usable is None else number(device.usable),
            "" if card is None else f"{card.usable_basis}: {card.usable_source}",
            "" if device.ullage is None else number(device.ullage),
            tuple(_phases(plan, device, items)),
        )


def _phases(
    plan: Plan, device: DevicePlan, items: dict[tuple[str, str], list[LineItem]]
) -> Iterator[PhaseRow]:
    totals = plan.bill.totals[device.name]
    for phase in plan.phases:
        if phase.name in totals:
            found = totals[phase.name]
            made_of = tuple(map(_item, items.get((device.name, phase.name), ())))
            peak = phase.name == device.peak_phase
            yield PhaseRow(
                phase.name,
                peak,
                number(found.live.expected),
                number(found.reserved.expected),
                number(found.process.expected),
                whole(found.device),
                made_of,
            )


def _item(item: LineItem) -> Item:
    component, size = item.component.replace("_", " "), whole(item.bytes)
    return Item(item.role or "(process)", component, layers_of(item), size, item.basis, item.note)


def _times(plan: Plan) -> Iterator[TimeRow]:
    for time in plan.times:
        rate = rates(time.tokens_per_second) if time.tokens_per_second else ""
        total = durations(time.total_seconds)
        yield TimeRow(time.phase, spread(time.seconds), rate, total, time.bound, time.basis, time.source)


@dataclass(frozen=True, slots=True)
class AdviceRow:
    """An entry of the advice: the `changes` that make it so, and how they are typed."""

    gpus: str
    verdict: str
    short: str
    note: str
    changes: tuple[str, ...]
    typed: str


def advice_of(plan: Plan) -> tuple[AdviceRow, ...]:
    """Every entry, in the order of the plan."""
    return tuple(_advice(plan, entry) for entry in plan.advice)


def _advice(plan: Plan, entry: Advice) -> AdviceRow:
    cards = () if entry.gpus == plan.gpus.name else (f"budget.gpus={entry.gpus}",)
    changes = (*cards, *(f"{path}={value}" for path, value in entry.changes))
    typed = " ".join(f"--set {quote(each)}" for each in changes) or "as it is"
    return AdviceRow(entry.gpus, entry.verdict, in_short(entry), entry.quality_note, changes, typed)
