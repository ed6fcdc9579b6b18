"""A plan on the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ullage.reports.latency_page import UNKNOWN, Grid, latency_grids
from ullage.reports.storage_page import stored_lines
from ullage.units import GIB, Estimate, Interval

if TYPE_CHECKING:
    from ullage.facts.gpu import Gpu
    from ullage.planning.bill import LineItem
    from ullage.planning.hosted import Hosted
    from ullage.planning.plan import Advice, DevicePlan, Plan

STYLES = {"fits": "green", "tight": "yellow", "does not fit": "red"}
NARROW = 100
"""Columns under which tables leave out what a reader can do without."""
BAR = 30
PHASES_SHOWN = 8
SMALL = GIB // 20
"""Line items below this high value are counted, not shown, unless all are asked for."""


def show_plan(plan: Plan, console: Console, *, items: bool = False) -> None:
    """Prints verdict, devices, phases, line items at the peak, times, cost and advice."""
    console.print(Text(plan.title, style="bold"), Text(f"on {plan.gpus.name}"))
    console.print(Text.assemble(("verdict: ", "bold"), (plan.verdict, STYLES[plan.verdict])))
    console.print()
    for device in plan.devices:
        _show_device(device, console, plan.card_of(device))
    for line in stored_lines(plan.stored):
        console.print(Text(line, style="dim"), soft_wrap=True)
    console.print()
    if plan.bill.items:
        _print_table(_phase_table(plan, console.width < NARROW, everything=items), console)
        _print_table(_item_table(plan, console.width < NARROW, everything=items), console)
    _show_decisions(plan, console)
    _show_times(plan, console)
    for grid in () if plan.latency is None else latency_grids(plan.latency):
        _show_grid(grid, console)
    for each in plan.hosted:
        console.print(_of_hosted(each, plan.workload.examples), soft_wrap=True, highlight=False)
    if plan.advice:
        _print_table(_advice_table(plan.advice, console.width < NARROW), console)
    elif plan.verdict != "fits":
        console.print("advice: no change that was tried makes it fit on any GPU set with a price")
    for warning in plan.warnings:
        console.print(Text(f"warning: {warning}", style="yellow"))
    for note in plan.notes:
        console.print(Text(f"note: {note}", style="dim"))


def _number(value: int) -> str:
    return f"{value / GIB:.2f}"


def _range(value: Interval) -> str:
    return f"{_number(value.low)}-{_number(value.high)}"


def _show_device(device: DevicePlan, console: Console, card: Gpu | None) -> None:
    peak = device.peak.device
    if device.usable is None:
        console.print(f"{device.name:6} {_number(peak.expected)} GiB, at most {_number(peak.high)} GiB")
        return
    shares = [min(value / device.usable, 1.0) for value in (peak.expected, peak.high)]
    sure, maybe = (round(share * BAR) for share in shares)
    bar = Text("█" * sure, style=STYLES[device.verdict])
    bar.append("▒" * (maybe - sure), style=STYLES[device.verdict])
    bar.append("·" * (BAR - maybe), style="dim")
    assert device.ullage is not None
    if device.ullage >= 0:
        free = f"ullage {_number(device.ullage)} GiB"
    else:
        free = f"{_number(-device.ullage)} GiB too much"
    line = Text(f"{device.name:6} ")
    line.append_text(bar)
    line.append(f" {_number(peak.expected)} (at most {_number(peak.high)}) of ")
    line.append(f"{_number(device.usable)} GiB, {free}: ")
    line.append(device.verdict, style=STYLES[device.verdict])
    console.print(line, soft_wrap=True)
    peaks = f"peak in {device.peak_phase}" if device.peak_phase else "nothing is held there"
    console.print(Text(f"       {device.gpu}, {peaks}", style="dim"))
    if card is not None:
        console.print(Text(f"       {_known(card)}", style="dim"), soft_wrap=True)


def _known(card: Gpu) -> str:
    """How a card's usable memory is known, and which end of it counts."""
    usable, said = card.usable, f"{card.usable_basis}: {card.usable_source}"
    if usable.low == usable.high:
        return f"usable memory {said}"
    return f"usable {_range(usable)} GiB, the low end counts; {said}"


def _table(title: str) -> Table:
    return Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")


def _print_table(table: Table, console: Console) -> None:
    """Columns that never wrap are given their width, for rich would lay every cell out to find it: that took
    a sixth of the page's time."""
    for column in table.columns:
        if column.no_wrap:
            column.width = max(cell_len(str(cell)) for cell in (column.header, *column.cells))
    console.print(table)


def _phase_table(plan: Plan, narrow: bool, everything: bool) -> Table:
    table = _table("phases: expected GiB" + ("" if narrow else " (low-high)"))
    table.add_column("device", no_wrap=True)
    table.add_column("phase")
    for name in ("live", "reserved", "process", "device"):
        table.add_column(name, justify="right", no_wrap=True)
    left_out = 0
    for device in plan.devices:
        totals = plan.bill.totals.get(device.name, {})
        shown = sorted(totals, key=lambda name: -totals[name].device.high)
        shown = shown if everything else shown[:PHASES_SHOWN]
        left_out += len(totals) - len(shown)
        for phase in plan.phases:
            if phase.name not in shown:
                continue
            found = totals[phase.name]
            mark = " <- peak" if phase.name == device.peak_phase else ""
            cells = [_number(found.live.expected), _number(found.reserved.expected)]
            cells.append(_number(found.process.expected))
            last = _number(found.device.expected)
            cells.append(last if narrow else f"{last} ({_range(found.device)})")
            table.add_row(device.name, phase.name + mark, *cells)
    if left_out:
        table.caption = f"the fullest {PHASES_SHOWN} of each device; --items shows {left_out} more"
        table.caption_justify = "left"
    return table


def _item_table(plan: Plan, narrow: bool, everything: bool) -> Table:
    """Line items of each device's peak phase, or of all phases."""
    table = _table("line items: GiB" + ("" if everything else " at each device's peak"))
    columns = ["device", "role", "component", "layers", "expected"]
    columns += [] if narrow else ["low-high", "basis", "note"]
    columns = ["phase", *columns] if everything else columns
    for name in columns:
        right = name in ("expected", "low-high", "layers")
        table.add_column(name, justify="right" if right else "left", no_wrap=name != "note")
    peaks = {device.name: device.peak_phase for device in plan.devices}
    small = 0
    for item in _merged(plan, None if everything else peaks):
        if item.bytes.high < SMALL and not everything:
            small += 1
            continue
        layers = f"{item.layers[0]}-{item.layers[1] - 1}" if item.layers is not None else ""
        cells = [item.device, item.role or "(process)", item.component, layers]
        cells.append(_number(item.bytes.expected))
        if not narrow:
            cells += [_range(item.bytes), item.basis, item.note]
        table.add_row(*([item.phase, *cells] if everything else cells))
    if small:
        table.caption = f"and {small} below {_number(SMALL)} GiB each (--items shows all)"
        table.caption_justify = "left"
    return table


def _merged(plan: Plan, peaks: dict[str, str] | None) -> list[LineItem]:
    """Items of one role, component and basis on a device as one, largest first."""

    found: dict[tuple[str, ...], LineItem] = {}
    for item in plan.bill.items:
        if peaks is not None and peaks[item.device] != item.phase:
            continue
        key = (item.device, item.phase, item.role, item.component, item.level, item.basis)
        held = found.get(key)
        if held is None:
            found[key] = item
            continue
        layers = held.layers or item.layers
        if held.layers is not None and item.layers is not None:
            layers = min(held.layers[0], item.layers[0]), max(held.layers[1], item.layers[1])
        note = held.note if held.note == item.note or not item.note else held.note or item.note
        found[key] = held._replace(bytes=held.bytes + item.bytes, layers=layers, note=note)
    return sorted(found.values(), key=lambda item: (item.device, item.phase, -item.bytes.high))


def _show_decisions(plan: Plan, console: Console) -> None:
    if not plan.decisions:
        return
    table = _table("decisions")
    for name in ("what", "chosen", "why"):
        table.add_column(name)
    for decision in plan.decisions:
        table.add_row(decision.subject, decision.choice, decision.reason)
    console.print(table)


def _show_times(plan: Plan, console: Console) -> None:
    if not plan.times:
        return
    table = _table("time")
    table.add_column("phase")
    for name in ("seconds a pass", "tokens/s", "whole workload", "bound by", "basis"):
        table.add_column(name, justify="right")
    for time in plan.times:
        rate = f"{time.tokens_per_second.expected:,.0f}" if time.tokens_per_second else ""
        whole = duration(time.total_seconds and time.total_seconds.expected)
        table.add_row(time.phase, _ends(time.seconds, "{:,.2f}"), rate, whole, time.bound, time.basis)
    console.print(table)
    for source in dict.fromkeys(time.source for time in plan.times if time.source):
        console.print(Text(f"measured: {source}", style="dim"))
    if plan.total_seconds is not None:
        low, expected, high = (duration(each) for each in plan.total_seconds)
        console.print(f"whole workload: {expected} ({low} to {high})", highlight=False)
    if plan.cost is not None:
        per_1000 = plan.cost.usd_per_1000_examples
        shown = UNKNOWN if per_1000 is None else f"${_ends(per_1000, '{:,.2f}')}"
        console.print(
            f"cost: ${plan.cost.usd_per_hour:,.2f} an hour, {shown} per "
            f"1000 examples ({plan.cost.provider}, {plan.cost.label} price as of {plan.cost.as_of})",
            soft_wrap=True,
            highlight=False,
        )
    else:
        console.print("cost: no price is known for these cards")


def _show_grid(grid: Grid, console: Console) -> None:
    table = _table(grid.title)
    for name in grid.columns:
        table.add_column(name, justify="left" if name == "to" else "right")
    for row in grid.rows:
        table.add_row(*row)
    console.print(table)
    if grid.caption:
        console.print(Text(grid.caption, style="dim"))


def _of_hosted(each: Hosted, examples: int) -> str:
    """What is asked of a server for 1000 examples, and what it costs."""
    cost = "set price_per_million to know its price"
    if each.usd_per_1000_examples is not None and each.usd is not None:
        cost = f"${each.usd_per_1000_examples:,.2f}, and ${each.usd:,.2f} for all {examples:,}"
    return (
        f"{each.role}: {each.model} is hosted: up to {each.requests:,} requests, {each.prompt_tokens:,} "
        f"prompt tokens and {each.new_tokens:,} new tokens per 1000 examples: {cost}"
    )


def _ends(value: Estimate | None, form: str) -> str:
    """`1.20 (0.90-1.70)`: what is expected, and between which values it lies."""
    if value is None:
        return UNKNOWN
    return f"{form.format(value.expected)} ({form.format(value.low)}-{form.format(value.high)})"


def duration(seconds: float | None) -> str:
    """`42 s`, `12 min`, `3.4 h`, `5.1 days`."""
    if seconds is None:
        return UNKNOWN
    for limit, unit, name in ((120, 1, "s"), (7200, 60, "min"), (172_800, 3600, "h")):
        if seconds < limit:
            return f"{seconds / unit:.1f} {name}"
    return f"{seconds / 86400:.1f} days"


def _advice_table(advice: tuple[Advice, ...], narrow: bool) -> Table:
    table = _table("advice: what would fit, and what it costs")
    table.add_column("change", overflow="fold")
    table.add_column("on")
    table.add_column("verdict", no_wrap=True)
    table.add_column("peak GiB", justify="right", no_wrap=True)
    table.add_column("quality loss", justify="right")
    table.add_column("$/1000", justify="right", no_wrap=True)
    if not narrow:
        table.add_column("note")
    for entry in advice:
        change = " ".join(f"--set '{path}={value}'" for path, value in entry.changes)
        price = entry.usd_per_1000_examples
        cells = [change or "nothing but the cards", entry.gpus, entry.verdict]
        cells += [
            _number(entry.peak.high),
            f"{entry.quality_loss:.3f}" if entry.quality_loss else "none",
        ]
        cells.append("" if price is None else f"{price:,.2f}")
        table.add_row(*(cells if narrow else [*cells, entry.quality_note]))
    return table
