"""All that a plan says, as tables: devices, phases, line items, decisions, times, advice, notes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.text import Text

from ullage.reports.advice_page import show_advice
from ullage.reports.bar import bar
from ullage.reports.figures import dollars, durations, ends, number, rates, spread, whole
from ullage.reports.items import layers_of, merged
from ullage.reports.latency_page import latency_tables
from ullage.reports.pages.screen import show_part
from ullage.reports.pages.table import Table
from ullage.reports.storage_page import stored_lines
from ullage.reports.tables import STYLES, Footnotes, below, new_table, print_hanging, print_table
from ullage.units import GIB

if TYPE_CHECKING:
    from ullage.facts.gpu import Gpu
    from ullage.planning.cost import Cost
    from ullage.planning.hosted import Hosted
    from ullage.planning.plan import DevicePlan, Plan

PHASES_SHOWN: Final = 8
SMALL: Final = GIB // 20
"""Line items below this high value are counted, not shown, unless all are asked for."""


def show_details(plan: Plan, console: Console, *, items: bool = False) -> None:
    """Prints every table of a plan; devices with equal numbers stand once. `items` shows the line items of
    every phase, however small."""
    console.print()
    _show_devices(plan, console)
    for line in stored_lines(plan.stored):
        print_hanging("", line, console, "dim")
    console.print()
    if plan.bill.items:
        _show_phases(plan, console, everything=items)
        show_items(plan, console, everything=items)
    _show_decisions(plan, console)
    _show_times(plan, console)
    for table in () if plan.latency is None else latency_tables(plan.latency):
        show_part(table, console)
    for each in plan.hosted:
        print_hanging("", _of_hosted(each, plan.workload.examples), console)
    show_advice(plan, console)
    for warning in plan.warnings:
        print_hanging("warning: ", warning, console, "yellow")
    for note in plan.notes:
        print_hanging("note: ", note, console, "dim")


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


def _show_devices(plan: Plan, console: Console) -> None:
    shown = alike(plan)
    cards = Footnotes()
    for device in plan.devices:
        if device.name not in shown:
            continue
        card = plan.card_of(device)
        known = f" {cards.mark(_known(card))}" if card is not None else ""
        peak = f"peak in {device.peak_phase}" if device.peak_phase else "nothing is held there"
        where = f"{device.gpu}, " if device.gpu != device.name else ""
        line = Text(f"{where}{peak}{known}: ").append(device.verdict, style=STYLES[device.verdict])
        print_hanging(f"{shown[device.name]}  ", line, console)
        if device.usable is None:
            console.print(f"  {whole(device.peak.device)} GiB")
        else:
            console.print(Text("  ").append_text(bar(device, console.width - 2)))
    cards.print(console)


def _known(card: Gpu) -> str:
    """How a card's usable memory is known, and which end of it counts."""
    usable, said = card.usable, f"{card.usable_basis}: {card.usable_source}"
    if usable.low == usable.high:
        return f"usable memory {said}"
    return f"usable {ends(usable)} GiB, the low end counts; {said}"


def _show_phases(plan: Plan, console: Console, everything: bool) -> None:
    names = ("live", "reserved", "process", "device (low-high)")
    table = new_table("phases: expected GiB", ("device", "phase", *names), names)
    shown_devices, left_out = alike(plan), 0
    for device in plan.devices:
        if device.name not in shown_devices:
            continue
        totals = plan.bill.totals.get(device.name, {})
        shown = sorted(totals, key=lambda name: -totals[name].device.high)
        shown = shown if everything else shown[:PHASES_SHOWN]
        left_out += len(totals) - len(shown)
        for phase in plan.phases:
            if phase.name not in shown:
                continue
            found = totals[phase.name]
            mark = " <- peak" if phase.name == device.peak_phase else ""
            cells = [number(level.expected) for level in (found.live, found.reserved, found.process)]
            table.add_row(shown_devices[device.name], phase.name + mark, *cells, whole(found.device))
    if left_out:
        below(table, f"the fullest {PHASES_SHOWN} of each device; --items shows {left_out} more")
    print_table(table, console)


def show_items(plan: Plan, console: Console, everything: bool) -> None:
    """Line items of each device's peak phase, or of all phases."""
    table = new_table(
        "line items: GiB" + ("" if everything else " at each device's peak"),
        (
            *(("phase",) if everything else ()),
            "device",
            "role",
            "component",
            "layers",
            "GiB (low-high)",
            "basis",
            "",
        ),
        ("layers", "GiB (low-high)"),
    )
    shown = alike(plan)
    peaks = {device.name: device.peak_phase for device in plan.devices}
    notes, small = Footnotes(), 0
    for item in merged(plan, None if everything else peaks):
        if item.device not in shown:
            continue
        if item.bytes.high < SMALL and not everything:
            small += 1
            continue
        cells = [shown[item.device], item.role or "(process)", item.component]
        cells += [layers_of(item), whole(item.bytes)]
        cells += [item.basis, notes.mark(item.note)]
        table.add_row(*([item.phase, *cells] if everything else cells))
    if small:
        below(table, f"and {small} below {number(SMALL)} GiB each (--items shows all)")
    print_table(table, console)
    notes.print(console)


def _show_decisions(plan: Plan, console: Console) -> None:
    if not plan.decisions:
        return
    table = new_table("decisions", ("what", "chosen", "why"))
    for decision in plan.decisions:
        table.add_row(decision.subject, decision.choice, decision.reason)
    print_table(table, console)


def _show_times(plan: Plan, console: Console) -> None:
    if not plan.times:
        return
    names = ("seconds a pass", "tokens/s", "whole workload", "bound by", "basis")
    table = new_table("time", ("phase", *names), names)
    sources = Footnotes()
    for time in plan.times:
        rate = rates(time.tokens_per_second) if time.tokens_per_second else ""
        known = f"{time.basis} {sources.mark(time.source)}".rstrip()
        row = (time.phase, spread(time.seconds), rate, durations(time.total_seconds), time.bound, known)
        table.add_row(*row)
    print_table(table, console)
    sources.print(console)
    if plan.total_seconds is not None:
        console.print(f"whole workload: {durations(plan.total_seconds)}")
    if plan.cost is None:
        console.print("cost: no price is known for these cards")
        return
    print_hanging("cost: ", priced(plan.cost), console)


def priced(cost: Cost) -> str:
    """What cards cost, and whose price that is."""
    return (
        f"{dollars(cost.usd_per_hour)} an hour, {dollars(cost.usd_per_1000_examples)} per 1000 examples "
        f"({cost.provider}, {cost.label} price as of {cost.as_of})"
    )


def _of_hosted(each: Hosted, examples: int) -> str:
    """What is asked of a server for 1000 examples, and what it costs."""
    cost = "set price_per_million to know its price"
    if each.usd_per_1000_examples is not None and each.usd is not None:
        cost = f"${each.usd_per_1000_examples:,.2f}, and ${each.usd:,.2f} for all {examples:,}"
    return (
        f"{each.role}: {each.model} is hosted: up to {each.requests:,} requests, {each.prompt_tokens:,} "
        f"prompt tokens and {each.new_tokens:,} new tokens per 1000 examples: {cost}"
    )
