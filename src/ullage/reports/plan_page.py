"""A plan on one screen: what whoever rents a card by it has to know. All else is in its details."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from rich.console import Console
from rich.text import Text

from ullage.planning.cost import per_1000
from ullage.planning.storage import CHECKPOINT, written
from ullage.planning.verdict import ORDER, Verdict
from ullage.reports.advice_page import before_own, in_short, typed
from ullage.reports.bar import bar
from ullage.reports.figures import UNKNOWN, dollars, duration, durations, number, rate, whole
from ullage.reports.items import at_the_peak, named
from ullage.reports.lengths import lengths_of
from ullage.reports.tables import STYLES, hanging
from ullage.units import GIB, MIB, Interval, total

if TYPE_CHECKING:
    from ullage.planning.advice.entry import Advice, Search
    from ullage.planning.plan import DevicePlan, Plan

LINES: Final = 25
"""Of the screen, at 80 columns or more."""
ITEMS: Final = 3
"""Items of the peak that are named."""
LABEL: Final = 9
"""Columns of the words on the left."""
MORE: Final = "--details"


class Kind(NamedTuple):
    """Devices of one card with one limit, of which one screen shows the fullest."""

    devices: tuple[DevicePlan, ...]

    @property
    def fullest(self) -> DevicePlan:
        return max(self.devices, key=_filled)


class _Part(NamedTuple):
    """Lines of the screen; where there is no room for all, at least the first `least` of them stand."""

    lines: list[Text]
    least: int


def show_plan(plan: Plan, console: Console) -> None:
    """Prints verdict, the fullest device of each kind, what makes its peak, what to do, time and cost, host
    memory, disk, what was assumed, and what `--details` has."""
    kinds = kinds_of(plan)
    fullest = max((kind.fullest for kind in kinds), key=_filled, default=None)
    # What comes first is shortened last.
    parts = [
        _Part(list(_title(plan, console)), 2),
        _Part([line for kind in kinds for line in _kind(kind, console)], 2),
        _Part(list(_peak(plan, fullest, console)), ITEMS),
        _Part(list(_to_do(plan, console)), 3),
        _Part(list(_money(plan, console)), 4),
        _Part(list(_room(plan, console)), 4),
        _Part(list(_assumed(plan, fullest, console)), 4),
        _Part(list(_warnings(plan, console)), 0),
    ]
    last = _behind(plan, console)
    if console.width >= 80:
        parts = _shortened(parts, LINES - len(last))
    for line in (*(line for part in parts for line in part.lines), *last):
        line.rstrip()
        console.print(line, no_wrap=True, overflow="ignore", crop=False)


def kinds_of(plan: Plan) -> tuple[Kind, ...]:
    """Devices with a limit by card and limit, the fullest kind first; host memory and disk among them where
    the file limits them."""
    found: dict[tuple[object, ...], list[DevicePlan]] = {}
    for device in plan.devices:
        if device.usable is not None:
            found.setdefault((device.gpu, device.usable, device.budget), []).append(device)
    kinds = [Kind(tuple(devices)) for devices in found.values()]
    return tuple(sorted(kinds, key=lambda kind: _filled(kind.fullest), reverse=True))


def _filled(device: DevicePlan) -> tuple[int, float]:
    return ORDER.index(device.verdict), device.peak.device.high / max(device.usable or 1, 1)


def _shortened(parts: Sequence[_Part], room: int) -> list[_Part]:
    """As many lines as there is room for, taken from the last parts first."""
    over = sum(len(part.lines) for part in parts) - room
    found = []
    for part in reversed(parts):
        cut = min(max(over, 0), max(len(part.lines) - part.least, 0))
        over -= cut
        kept = part.lines[: len(part.lines) - cut]
        if cut and kept:
            kept[-1] = _open_ended(kept[-1])
        found.append(_Part(kept, part.least))
    return found[::-1]


def _open_ended(line: Text) -> Text:
    """A line after which others are left out."""
    mark = f" ... {MORE}"
    line = line.copy()
    line.truncate(80 - len(mark))
    line.append(mark, style="dim")
    return line


def _labelled(label: str, text: str | Text, console: Console, style: str = "dim") -> list[Text]:
    lines = hanging(f"{label:{LABEL}}", text, console)
    for line in lines:
        line.stylize(style, 0, LABEL)
    return lines


def _title(plan: Plan, console: Console) -> Iterator[Text]:
    """The verdict stands in the first line, which is never left out."""
    yield Text.assemble(("verdict: ", "bold"), (plan.verdict, STYLES[plan.verdict]))
    for line in hanging("", f"{plan.title} on {plan.gpus.name}", console):
        line.stylize("bold")
        yield line


def _kind(kind: Kind, console: Console) -> Iterator[Text]:
    """`4x RTX A6000, fullest: gpu:1 in player prefill`, and its bar."""
    device = kind.fullest
    name = device.gpu if device.gpu != device.name else ""
    if len(kind.devices) > 1:
        shown = f"{len(kind.devices)}x {name}, fullest: {device.name}"
    else:
        shown = f"{name} ({device.name})" if name else device.name
    peak = f"{shown} in {device.peak_phase}" if device.peak_phase else f"{shown}, nothing is held there"
    yield from hanging("", peak, console)
    yield bar(device, console.width)


def _peak(plan: Plan, device: DevicePlan | None, console: Console) -> Iterator[Text]:
    """The largest reasons for the peak of the fullest device, and how much the others come to."""
    items = at_the_peak(plan, device)
    for at, item in enumerate(items[:ITEMS]):
        others = items[ITEMS:]
        line = f"{whole(item.bytes)} GiB {named(item)}, {item.basis}"
        if at == ITEMS - 1 and others:
            line += f"; {len(others)} more {whole(total(each.bytes for each in others))}"
        yield _labelled("" if at else "peak", line, console)[0]


def _to_do(plan: Plan, console: Console) -> Iterator[Text]:
    """The first advice as it can be typed, and what it comes to; where a search found none, how near it
    came."""
    margin = " " * LABEL
    if plan.advice:
        best = plan.advice[0]
        yield from _labelled(_why(plan, best), in_short(best) + before_own(plan, best), console)
        yield from (Text(margin + line) for line in typed(best, plan.gpus.name, console.width - LABEL))
    elif plan.search is not None:
        yield from _labelled("to do", _none(plan.search, plan.verdict), console)
        if (nearest := plan.search.nearest) is not None:
            yield Text(f"{margin}the nearest is {number(nearest.over)} GiB too much:")
            lines = typed(nearest, plan.gpus.name, console.width - LABEL)
            yield from (Text(margin + line) for line in lines)


def _none(search: Search, verdict: Verdict) -> str:
    left = f", {search.left:,} were left for want of time" if search.left else ""
    if verdict == "fits":
        return f"nothing: none of {search.tried:,} settings that were tried is cheaper or faster{left}"
    return f"none of {search.tried:,} settings that were tried fits{left}"


def _why(plan: Plan, entry: Advice) -> str:
    """What an entry is for: to fit at all, else what it is better at."""
    if plan.verdict != "fits":
        return "to do"
    now = None if plan.cost is None else plan.cost.usd_per_1000_examples
    usd, seconds = entry.usd_per_1000_examples, entry.seconds_per_1000_examples
    is_cheaper = now is not None and usd is not None and usd < now.expected
    took = math.inf if plan.total_seconds is None else plan.total_seconds.expected
    took *= per_1000(plan.workload.examples)
    is_faster = seconds is not None and seconds < took < math.inf
    for_time = plan.search is not None and plan.search.for_ == "time"
    return "faster" if is_faster and (for_time or not is_cheaper) else "cheaper" if is_cheaper else "also"


def _money(plan: Plan, console: Console) -> Iterator[Text]:
    """Time and cost of the whole workload, with their ends; what servers ask for what they hold."""
    if plan.times:
        said = "if it fitted, " if plan.verdict == "does not fit" else ""
        said += _time(plan)
        known = [time for time in plan.times if time.total_seconds is not None]
        longest = max(known, key=lambda time: time.total_seconds or (0.0, 0.0, 0.0), default=None)
        if longest is not None and longest.total_seconds is not None and len(known) > 1:
            took = duration(longest.total_seconds.expected)
            tokens = longest.tokens_per_second
            per = f" at {rate(tokens.expected)} tokens/s" if tokens is not None else ""
            said += f"; {longest.phase} {took}{per}, bound by {longest.bound}"
        yield from _labelled("time", said, console)
        yield from _labelled("cost", _cost(plan), console)
    for each in plan.hosted:
        usd = "price unknown, set price_per_million" if each.usd is None else f"{dollars(each.usd)} for all"
        yield from _labelled("hosted", f"{each.role} ({each.model}): {usd}", console)


def _time(plan: Plan) -> str:
    """As advice says it too: of 1000 examples."""
    seconds, examples = plan.total_seconds, plan.workload.examples
    if seconds is None:
        return f"{UNKNOWN}, a note says why"
    per = f", {duration(seconds.expected * per_1000(examples))} per 1000" if examples != 1000 else ""
    return durations(seconds) + per


def _cost(plan: Plan) -> str:
    if plan.cost is None:
        return "no price is known for these cards"
    cost, examples = plan.cost, plan.workload.examples
    of = "the one example" if examples == 1 else f"all {examples:,} examples"
    said = f"{dollars(plan.total_usd)} for {of}"
    if plan.total_usd is not None and examples != 1000:
        said += f", {dollars(cost.usd_per_1000_examples)} per 1000"
    return f"{said}; {dollars(cost.usd_per_hour)} an hour ({cost.provider}, {cost.label}, {cost.as_of})"


def _room(plan: Plan, console: Console) -> Iterator[Text]:
    """Host memory; the disk for weights and outputs; what is downloaded."""
    host = next((device for device in plan.devices if device.name == "host"), None)
    if plan.gpus.abilities.unified:
        said = "is the device's own memory"
    elif host is None or host.peak.device.high < GIB // 100:
        said = "next to nothing beside the program itself"
    else:
        limit = "no limit given" if host.usable is None else f"of {number(host.usable)} GiB"
        said = f"{whole(host.peak.device)} GiB, {limit}, in {host.peak_phase}"
    yield from _labelled("host", said, console)
    weights = [each for each in plan.stored if each.what.startswith(CHECKPOINT)]
    lies = total(each.bytes for each in weights)
    kept = written(plan)
    fetched = total(each.bytes for each in weights if each.fetched)
    parts = [f"weights {whole(lies)} GiB", f"outputs {_output(plan, kept)}"]
    others = (each for each in plan.stored if each not in weights)
    parts += [f"{each.what} {each.bytes.high / MIB:,.1f} MiB" for each in others]
    parts.append(f"to download {whole(fetched)} GiB" if fetched.high else "nothing to download")
    yield from _labelled("disk", ", ".join(parts), console)


def _output(plan: Plan, kept: Interval) -> str:
    return f"{whole(kept)} GiB and texts" if kept.high else "texts alone"


def _assumed(plan: Plan, device: DevicePlan | None, console: Console) -> Iterator[Text]:
    """Lengths and batch that the numbers hold for; what of the peak, of time and of limits is no fact."""
    workload = plan.workload
    said = f"{lengths_of(plan)}, {workload.budget.reserve} reserve"
    own = [
        name for name, role in workload.roles.items() if (role.prompt_tokens, role.new_tokens) != (None, None)
    ]
    if own:
        said += f"; other lengths: {', '.join(own)}"
    yield from _labelled("planned", said, console)
    guessed = [item for item in at_the_peak(plan, device) if item.basis == "assumed"]
    parts = []
    if guessed:
        names = ", ".join(dict.fromkeys(item.component.replace("_", " ") for item in guessed))
        parts.append(f"{whole(total(item.bytes for item in guessed))} GiB of the peak ({names})")
    cards = {card.usable_basis for each in plan.devices if (card := plan.card_of(each)) is not None}
    parts += ["usable memory"] if "assumed" in cards else []
    guessed_times = [each for each in plan.times if each.basis not in ("measured", UNKNOWN)]
    parts += ["times (a roofline)"] if any(each.bound != "load" for each in guessed_times) else []
    yield from _labelled("assumed", ", ".join(parts) or "nothing", console)


def _warnings(plan: Plan, console: Console) -> Iterator[Text]:
    for warning in plan.warnings:
        yield from _labelled("warning:", warning, console, "yellow")


def _behind(plan: Plan, console: Console) -> list[Text]:
    """How much more there is, and where."""
    counts = (("note", plan.notes), ("warning", plan.warnings), ("advice entry", plan.advice))
    said = [_count(name, len(each)) for name, each in counts if each]
    more = ["phases, items, decisions", *(["latency"] if plan.latency is not None else []), *said]
    return _labelled(MORE, f" {', '.join(more)}", console)


def _count(name: str, count: int) -> str:
    if count == 1:
        return f"1 {name}"
    return f"{count} {name[:-1]}ies" if name.endswith("y") else f"{count} {name}s"
