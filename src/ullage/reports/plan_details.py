"""All that a plan says: devices, phases, line items, times, decisions, advice, notes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from ullage.reports.advice_page import advice_parts
from ullage.reports.figures import ends, number, whole
from ullage.reports.gauge import gauge
from ullage.reports.items import layers_of, merged
from ullage.reports.latency_page import latency_tables
from ullage.reports.pages.page import Fold, Items, Part, Prose, Section
from ullage.reports.pages.table import Table
from ullage.reports.pages.words import Span
from ullage.reports.storage_page import stored_lines
from ullage.reports.times_page import times_table
from ullage.units import GIB

if TYPE_CHECKING:
    from ullage.facts.gpu import Gpu
    from ullage.planning.bill import LineItem
    from ullage.planning.hosted import Hosted
    from ullage.planning.plan import DevicePlan, Plan

PHASES_SHOWN: Final = 8
SMALL: Final = GIB // 20
"""Line items below this high value are counted, not shown, unless all are asked for."""
ItemsOf = dict[tuple[str, str], list["LineItem"]]
"""By device and phase."""


def in_detail(plan: Plan, *, items: bool = False) -> Iterator[Part]:
    """Everything; devices with equal numbers stand once. `items`: the line items of every phase, however
    small."""
    yield from in_full(plan, items=items)
    yield from advice_parts(plan)
    yield from (Prose(f"warning: {line}", "warning") for line in plan.warnings)
    yield notes(plan)


def in_full(plan: Plan, *, items: bool = True) -> Iterator[Section]:
    """Memory by device and phase, times, decisions."""
    yield Section("Memory by device and phase", tuple(devices_of(plan, items=items)), 3)
    if plan.times:
        latency = () if plan.latency is None else latency_tables(plan.latency)
        yield Section("Time and cost", (times_table(plan.times)._replace(title=""), *latency), 3)
    if plan.decisions:
        rows = tuple((each.subject, each.choice, each.reason) for each in plan.decisions)
        yield Section("Decisions", (Table(("what", "chosen", "why"), rows),), 3)


def notes(plan: Plan) -> Section:
    """What lies on disk, what is hosted, and what else is to be known."""
    hosted = (_of_hosted(each, plan.workload.examples) for each in plan.hosted)
    return Section("Notes", (Items((*stored_lines(plan.stored), *hosted, *plan.notes), "note"),), 3)


def devices_table(plan: Plan) -> Table:
    """A row for each device: its peak, and what may be used of it."""
    columns = ("device", "GPU", "verdict", "peak GiB", "at most", "usable", "ullage", "peak in")
    rows = tuple(
        (
            device.name,
            device.gpu,
            device.verdict,
            number(device.peak.device.expected),
            number(device.peak.device.high),
            "" if device.usable is None else number(device.usable),
            "" if device.ullage is None else number(device.ullage),
            device.peak_phase,
        )
        for device in plan.devices
    )
    return Table(columns, rows, frozenset(columns[3:7]), title=repr(plan)[1:-1])


def alike(plan: Plan) -> dict[str, str]:
    """The devices that are shown by what they are called there: one stands for all with the same numbers."""
    found: dict[object, list[DevicePlan]] = {}
    for device in plan.devices:
        numbers = tuple(plan.bill.totals.get(device.name, {}).items())
        found.setdefault((device.gpu, device.usable, device.budget, numbers), []).append(device)
    return {same[0].name: ", ".join(device.name for device in same) for same in found.values()}


def devices_of(plan: Plan, *, items: bool = True) -> Iterator[Section]:
    """What each holds, phase by phase; the line items of its peak alone, or of every phase."""
    shown = alike(plan)
    cards: set[str] = set()
    held: ItemsOf = {}
    for item in merged(plan, None):
        held.setdefault((item.device, item.phase), []).append(item)
    for device in plan.devices:
        if device.name not in shown:
            continue
        gpu = f" ({device.gpu})" if device.gpu != device.name else ""
        title = f"{shown[device.name]}{gpu}: {device.verdict}"
        peak = Prose(f"{whole(device.peak.device)} GiB, no limit given")
        parts = [peak if device.usable is None else gauge(device)]
        card = plan.card_of(device)
        if card is not None and _known(card) not in cards:
            cards.add(_known(card))
            parts.append(Prose(_known(card), "note"))
        yield Section(title, (*parts, *_phases(plan, device, held, items)), 4)


def _known(card: Gpu) -> str:
    """How a card's usable memory is known, and which end of it counts."""
    usable, said = card.usable, f"{card.usable_basis}: {card.usable_source}"
    if usable.low == usable.high:
        return f"usable memory {said}"
    return f"usable {ends(usable)} GiB, the low end counts; {said}"


def _phases(plan: Plan, device: DevicePlan, held: ItemsOf, everything: bool) -> Iterator[Part]:
    """The fullest of them in a table, and the line items of the peak, or of each."""
    totals = plan.bill.totals.get(device.name, {})
    if not totals:
        yield Prose("nothing is held there", "note")
        return
    shown = sorted(totals, key=lambda name: -totals[name].device.high)
    shown = shown if everything else shown[:PHASES_SHOWN]
    names = [phase.name for phase in plan.phases if phase.name in shown]
    levels = ("live", "reserved", "process")
    rows = tuple(
        (
            f"{name} <- peak" if name == device.peak_phase else name,
            *(number(getattr(totals[name], level).expected) for level in levels),
            whole(totals[name].device),
        )
        for name in names
    )
    columns = ("phase, expected GiB", *levels, "device (low-high)")
    left = len(totals) - len(shown)
    caption = f"the fullest {PHASES_SHOWN} of them; --items shows {left} more" if left else ""
    yield Table(columns, rows, frozenset(columns[1:]), caption)
    for name in names if everything else [device.peak_phase]:
        peak = " (peak)" if name == device.peak_phase else ""
        title = (f"{name}{peak} ", Span(whole(totals[name].device), "strong"), " GiB")
        yield Fold(title, (_items(held.get((device.name, name), []), everything),))


def _items(items: list[LineItem], everything: bool) -> Part:
    """Reasons for bytes."""
    shown = [item for item in items if everything or item.bytes.high >= SMALL]
    rows = tuple(
        (
            item.role or "(process)",
            item.component.replace("_", " "),
            layers_of(item),
            whole(item.bytes),
            item.basis,
            item.note,
        )
        for item in shown
    )
    columns = ("role", "component", "layers", "GiB (low-high)", "basis", "how it is known")
    small = len(items) - len(shown)
    caption = f"and {small} below {number(SMALL)} GiB each (--items shows all)" if small else ""
    return Table(columns, rows, frozenset(columns[2:4]), caption) if rows else Prose(caption, "note")


def _of_hosted(each: Hosted, examples: int) -> str:
    """What is asked of a server for 1000 examples, and what it costs."""
    cost = "set price_per_million to know its price"
    if each.usd_per_1000_examples is not None and each.usd is not None:
        cost = f"${each.usd_per_1000_examples:,.2f}, and ${each.usd:,.2f} for all {examples:,}"
    return (
        f"{each.role}: {each.model} is hosted: up to {each.requests:,} requests, {each.prompt_tokens:,} "
        f"prompt tokens and {each.new_tokens:,} new tokens per 1000 examples: {cost}"
    )
