"""A plan on one screen: what whoever rents a card by it has to know. All else is in its details."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final, NamedTuple

from ullage.facts.architecture import Architecture
from ullage.memory.weights.precision import leaves_experts
from ullage.planning.cost import per_1000
from ullage.planning.storage import CHECKPOINT, written
from ullage.planning.storing import BYTES_PER_SECOND
from ullage.planning.verdict import ORDER
from ullage.reports.beside_price import another_label, other_counts
from ullage.reports.figures import UNKNOWN, dollars, duration, durations, number, rate, whole
from ullage.reports.gauge import TONES, gauge
from ullage.reports.items import at_the_peak, named
from ullage.reports.lengths import lengths_of
from ullage.reports.pages.page import AtOnce, Facts, Part, Prose, Share
from ullage.reports.pages.words import Span
from ullage.reports.to_do import MORE, to_do
from ullage.units import GIB, MIB, Interval, total

if TYPE_CHECKING:
    from ullage.planning.bill import LineItem
    from ullage.planning.plan import DevicePlan, Plan

ITEMS: Final = 3
"""Items of the peak that are named."""
UNPRICED: Final = "no price is known for these cards"
WRITTEN: Final = f"states written at {BYTES_PER_SECOND[1] / 1e9:g} GB/s"
Said = tuple[str, tuple[Part, ...]]
"""A word, and what is said under it."""


class Kind(NamedTuple):
    """Devices of one card with one limit, of which one screen shows the fullest."""

    devices: tuple[DevicePlan, ...]

    @property
    def fullest(self) -> DevicePlan:
        return max(self.devices, key=_filled)


def plan_page(plan: Plan) -> AtOnce:
    """Verdict, the fullest device of each kind, what makes its peak, what to do, time and cost, host memory,
    disk, what was assumed, and what `--details` has."""
    kinds = kinds_of(plan)
    fullest = max((kind.fullest for kind in kinds), key=_filled, default=None)
    parts = (
        Share(tuple(_title(plan)), 2),
        Share(tuple(part for kind in kinds for part in _kind(kind)), 2),
        Share(_facts(_peak(plan, fullest)), 2),
        *to_do(plan),
        Share(_facts(_money(plan)), 5 if plan.cost is not None and plan.cost.instead_of else 4),
        Share(_facts(_room(plan)), 4),
        Share(_facts(_assumed(plan, fullest)), 4),
        Share(_facts(("warning:", (Prose(each, "warning"),)) for each in plan.warnings), 0),
    )
    return AtOnce(parts, Facts((_behind(plan),)), MORE)


def _facts(said: Iterable[Said]) -> tuple[Part, ...]:
    held = tuple(said)
    return (Facts(held),) if held else ()


def _one(word: str, text: str) -> Said:
    return word, (Prose(text),)


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


def _title(plan: Plan) -> Iterator[Part]:
    """The verdict stands in the first line, which is never left out."""
    yield Prose((Span("verdict: ", "strong"), Span(plan.verdict, TONES[plan.verdict])))
    yield Prose(Span(f"{plan.title} on {plan.gpus.name}"), "strong")


def _kind(kind: Kind) -> Iterator[Part]:
    """`4x RTX A6000, fullest: gpu:1 in player prefill`, and how full that is."""
    device = kind.fullest
    name = device.gpu if device.gpu != device.name else ""
    if len(kind.devices) > 1:
        said = f"{len(kind.devices)}x {name}, fullest: {device.name}"
    else:
        said = f"{name} ({device.name})" if name else device.name
    said += f" in {device.peak_phase}" if device.peak_phase else ", nothing is held there"
    idle = [each.name for each in kind.devices if not each.peak_phase and each is not device]
    yield Prose(f"{said}; nothing is held on {', '.join(idle)}" if idle else said)
    yield gauge(device)


def _peak(plan: Plan, device: DevicePlan | None) -> Iterator[Said]:
    """The largest reasons for the peak of the fullest device, and how much the others come to."""
    items = at_the_peak(plan, device)
    lines = [
        f"{whole(item.bytes)} GiB {named(item)}, {item.basis}{_in(plan, item)}" for item in items[:ITEMS]
    ]
    if others := items[ITEMS:]:
        lines[-1] += f"; {len(others)} more {whole(total(each.bytes for each in others))}"
    if lines:
        yield "peak", tuple(map(Prose, lines))


def _in(plan: Plan, item: LineItem) -> str:
    """What of weights is in other bits than its role's precision says."""
    held = plan.roles.get(item.role)
    model = None if held is None else plan.models.get(plan.workload.roles[item.role].model)
    if held is None or item.component != "weights" or not isinstance(model, Architecture):
        return ""
    return f"; its experts stay in {held.precision.compute}" if leaves_experts(model, held.precision) else ""


def _money(plan: Plan) -> Iterator[Said]:
    """By which label, where it is another than was asked for; time and cost of the whole workload, with their
    ends; what servers ask for what they hold."""
    if plan.times and plan.cost is not None and plan.cost.instead_of:
        yield _one("price", another_label(plan.cost))
    if plan.times:
        fitted = "if it fitted, " if plan.verdict == "does not fit" else ""
        said = fitted + _time(plan)
        known = [time for time in plan.times if time.total_seconds is not None]
        longest = max(known, key=lambda time: time.total_seconds or (0.0, 0.0, 0.0), default=None)
        if longest is not None and longest.total_seconds is not None and len(known) > 1:
            took = duration(longest.total_seconds.expected)
            tokens = longest.tokens_per_second
            per = f" at {rate(tokens.expected)} tokens/s" if tokens is not None else ""
            said += f"; {longest.phase} {took}{per}, bound by {longest.bound}"
        yield _one("time", said)
        yield _one("cost", fitted + _cost(plan) if plan.cost is not None else UNPRICED)
    for each in plan.hosted:
        usd = "price unknown, set price_per_million" if each.usd is None else f"{dollars(each.usd)} for all"
        yield _one("hosted", f"{each.role} ({each.model}): {usd}")


def _time(plan: Plan) -> str:
    """As advice says it too: of 1000 examples."""
    seconds, examples = plan.total_seconds, plan.workload.examples
    if seconds is None:
        return f"{UNKNOWN}, a note says why"
    per = f", {duration(seconds.expected * per_1000(examples))} per 1000" if examples != 1000 else ""
    return durations(seconds) + per


def _cost(plan: Plan) -> str:
    cost, examples = plan.cost, plan.workload.examples
    assert cost is not None
    of = "the one example" if examples == 1 else f"all {examples:,} examples"
    said = f"{dollars(plan.total_usd)} for {of}"
    if plan.total_usd is not None and examples != 1000:
        said += f", {dollars(cost.usd_per_1000_examples)} per 1000"
    said += f"; {dollars(cost.usd_per_hour)} an hour ({cost.provider}, {cost.label}, {cost.as_of})"
    return f"{said}; {why}" if (why := other_counts(cost)) else said


def _room(plan: Plan) -> Iterator[Said]:
    """Host memory; the disk for weights and outputs; what is downloaded."""
    host = next((device for device in plan.devices if device.name == "host"), None)
    if plan.gpus.abilities.unified:
        said = "is the device's own memory"
    elif host is None or host.peak.device.high < GIB // 100:
        said = "next to nothing beside the program itself"
    else:
        limit = "no limit given" if host.usable is None else f"of {number(host.usable)} GiB"
        said = f"{whole(host.peak.device)} GiB, {limit}, in {host.peak_phase}"
    yield _one("host", said)
    weights = [each for each in plan.stored if each.what.startswith(CHECKPOINT)]
    lies = total(each.bytes for each in weights)
    kept = written(plan)
    fetched = total(each.bytes for each in weights if each.fetched)
    parts = [f"weights {whole(lies)} GiB", f"outputs {_output(plan, kept)}"]
    others = (each for each in plan.stored if each not in weights)
    parts += [f"{each.what} {each.bytes.high / MIB:,.1f} MiB" for each in others]
    parts.append(f"to download {whole(fetched)} GiB" if fetched.high else "nothing to download")
    yield _one("disk", ", ".join(parts))


def _output(plan: Plan, kept: Interval) -> str:
    return f"{whole(kept)} GiB and texts" if kept.high else "texts alone"


def _assumed(plan: Plan, device: DevicePlan | None) -> Iterator[Said]:
    """Lengths and batch that the numbers hold for; what of the peak, of time and of limits is no fact."""
    workload = plan.workload
    said = f"{lengths_of(plan)}, {workload.budget.reserve} reserve"
    own = [
        name for name, role in workload.roles.items() if (role.prompt_tokens, role.new_tokens) != (None, None)
    ]
    if own:
        said += f"; other lengths: {', '.join(own)}"
    said += _together(plan)
    if workload.training is not None and len(plan.gpus.gpus) > 1:
        said += "; one process, its layers on the cards in turn (DDP, FSDP and ZeRO are not planned)"
    yield _one("planned", said)
    guessed = [item for item in at_the_peak(plan, device) if item.basis == "assumed"]
    parts = []
    if guessed:
        names = ", ".join(dict.fromkeys(item.component.replace("_", " ") for item in guessed))
        parts.append(f"{whole(total(item.bytes for item in guessed))} GiB of the peak ({names})")
    cards = {card.usable_basis for each in plan.devices if (card := plan.card_of(each)) is not None}
    parts += ["usable memory"] if "assumed" in cards else []
    guessed_times = [each for each in plan.times if each.basis not in ("measured", UNKNOWN)]
    ratios = dict.fromkeys(each.source for each in guessed_times if each.source)
    if any(each.bound != "load" for each in guessed_times):
        written_at = (WRITTEN,) if any(each.bound == "disk" for each in guessed_times) else ()
        parts.append(f"times ({'; '.join(('a roofline', *written_at, *ratios))})")
    yield _one("assumed", ", ".join(parts) or "nothing")


def _together(plan: Plan) -> str:
    """How many of several models are in the cards' memory at a time."""
    names = {each.model for name, each in plan.workload.roles.items() if name in plan.roles}
    most = max(
        (
            sum(each.where == "device" and each.name in plan.roles for each in phase.resident)
            for phase in plan.phases
        ),
        default=0,
    )
    if len(plan.roles) < 2 or len(names) < 2:
        return ""
    return f"; {most} of {len(plan.roles)} roles in memory at a time"


def _behind(plan: Plan) -> Said:
    """How much more there is, and where."""
    counts = (("note", plan.notes), ("warning", plan.warnings), ("advice entry", plan.advice))
    said = [_count(name, len(each)) for name, each in counts if each]
    more = ["phases, items, decisions", *(["latency"] if plan.latency is not None else []), *said]
    return _one(MORE, ", ".join(more))


def _count(name: str, count: int) -> str:
    if count == 1:
        return f"1 {name}"
    return f"{count} {name[:-1]}ies" if name.endswith("y") else f"{count} {name}s"
