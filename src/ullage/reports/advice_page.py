"""Advice: what it comes to, and how it is typed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from shlex import quote
from typing import TYPE_CHECKING, Final

from ullage.reports.figures import dollars, duration, durations, number
from ullage.reports.gauge import TONES
from ullage.reports.pages.page import Code, Facts, Part, Prose, Section
from ullage.reports.pages.shell import BREAK, SHELL
from ullage.reports.pages.words import Span
from ullage.units import GIB

if TYPE_CHECKING:
    from ullage.planning.advice.entry import Advice, Nearest
    from ullage.planning.plan import Plan

FIRST: Final[dict[str, str]] = {"cost": "cheapest", "time": "fastest", "quality": "best quality"}
"""What stands first, by the order of advice that was asked for."""
CUT: Final = ("prompt_tokens", "layers")
"""Where a change has less of the work done: such an entry comes after all that do the whole of it."""


def in_short(entry: Advice) -> str:
    """What an entry comes to: dollars, time, peak, host memory where it takes any, and what of the results it
    gives up, with how that is known."""
    if entry.unknown:
        return f"{_open(entry)}, {_rest(entry)}"
    usd = entry.usd_per_1000_examples if entry.usd is None else entry.usd
    price = "price unknown" if usd is None else dollars(usd)
    took = duration(entry.seconds_per_1000_examples) if entry.seconds is None else durations(entry.seconds)
    if entry.seconds_per_1000_examples is None:
        took = "time unknown"
    return f"{price} and {took} per 1000 examples, {_rest(entry)}"


def in_all(entry: Advice, examples: int) -> str:
    """The same dollars and time for all examples of the workload, where these are others than 1000."""
    usd, seconds = entry.usd_per_1000_examples, entry.seconds_per_1000_examples
    if usd is None or seconds is None or examples == 1000:
        return ""
    share = examples / 1000
    return f"; {dollars(usd * share)} and {duration(seconds * share)} for all {examples:,}"


def _open(entry: Advice) -> str:
    """What is known where a role's time is not: the least it may come to."""
    whose = ", ".join(entry.unknown)
    said = f"time of {whose} unknown, all else {duration(entry.known_seconds)}"
    if entry.usd_per_hour is not None:
        said += f" and {dollars(entry.usd_per_hour * entry.known_seconds / 3600)}"
    return f"{said} per 1000 examples"


def _rest(entry: Advice) -> str:
    """Memory and quality."""
    loss = f"quality loss {entry.quality_loss:.3f}, {entry.quality_basis}"
    if entry.quality_basis == "unchanged":
        loss = "quality unchanged"
    host = f", host {number(entry.host.high)} GiB" if entry.host.high >= GIB // 100 else ""
    cards = sum(map(int, re.findall(r"(\d+)x ", entry.gpus)))
    over = f" on {cards} cards" if cards > 1 else ""
    return f"peak {number(entry.peak.high)} GiB{over}{host}, {loss}"


def first_own(plan: Plan) -> Advice | None:
    """The first entry on the cards that were asked for."""
    return next((each for each in plan.advice if each.own_cards), None)


def before_own(plan: Plan, best: Advice) -> str:
    """Why other cards stand first where the plan's own do not do as it is: the order, and what these take."""
    if best.own_cards or plan.verdict == "fits" or plan.search is None:
        return ""
    first, own = f"; {FIRST[plan.search.for_]} first", first_own(plan)
    if own is None:
        why = "nothing found" if plan.gpus.abilities.has_kernels else "none: torch has no code for them"
        return f"{first}, on these cards {why}"
    usd, seconds = own.usd_per_1000_examples, own.seconds_per_1000_examples
    price = "price unknown" if usd is None else dollars(usd)
    said = f"{price} and {'time unknown' if seconds is None else duration(seconds)} per 1000"
    if any(path.split(".")[-1] in CUT for path, _ in own.changes):
        said += " for less than all of it"
    elif own.quality_loss > best.quality_loss:
        said += f" with quality loss {own.quality_loss:.3f}"
    return f"{first}, on these cards {said}"


def typed(entry: Advice | Nearest, plan: Plan) -> tuple[str, ...]:
    """The options that make an entry of the plan, at the price it says."""
    cards: tuple[str, ...] = () if entry.gpus == plan.gpus.name else (f"--gpus {quote(entry.gpus)}",)
    if cards and plan.cost is not None and plan.cost.instead_of:
        cards = *cards, f"--label {plan.cost.label}"
    return *cards, *(f"--set {quote(f'{path}={value}')}" for path, value in entry.changes)


def advice_parts(plan: Plan) -> Iterator[Part]:
    """Every entry: where, what it comes to, why, and how it is typed."""
    if plan.search is not None and plan.search.left:
        said = (
            f"{plan.search.tried:,} settings were planned, {plan.search.left:,} left: it ends by their number"
        )
        yield Prose(f"advice: {said}", "note")
    if not plan.advice:
        return
    entries = tuple((f"{at:2}.", tuple(_entry(plan, entry))) for at, entry in enumerate(plan.advice, 1))
    yield Section("Advice: what else there is, and what it costs", (Facts(entries),), 3)


def _entry(plan: Plan, entry: Advice) -> Iterator[Part]:
    yield Prose((f"{entry.gpus}: ", Span(entry.verdict, TONES[entry.verdict]), f"; {in_short(entry)}"))
    options = typed(entry, plan)
    yield Code(BREAK.join(options), SHELL) if options else Prose("as it is")
    if entry.quality_note:
        yield Prose(entry.quality_note, "note")
