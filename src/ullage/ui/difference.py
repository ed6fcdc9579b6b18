"""One plan beside another: what differs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TypeVar

from ullage.reports.figures import UNKNOWN, dollars, duration, number
from ullage.reports.pages.table import Table

if TYPE_CHECKING:
    from ullage.planning.plan import Plan
    from ullage.units import Estimate

Number = TypeVar("Number", int, float)


def difference(this: Plan, that: Plan) -> Table:
    """Verdict, each device's peak at most, time and cost of two plans, and how much more `this` takes."""
    columns = ("", "kept plan", "this plan", "difference")
    said = "Peaks in GiB, at most; time and cost of all examples, expected."
    return Table(columns, tuple(_rows(this, that)), frozenset(columns[1:]), said, "Difference")


def _rows(this: Plan, that: Plan) -> Iterator[tuple[str, str, str, str]]:
    yield _words("verdict", that.verdict, this.verdict)
    yield _words("GPUs", that.gpus.name, this.gpus.name)
    mine = {device.name: device.peak.device.high for device in this.devices}
    theirs = {device.name: device.peak.device.high for device in that.devices}
    for name in dict.fromkeys((*theirs, *mine)):
        here, there = mine.get(name), theirs.get(name)
        if here or there:
            cells = ("" if there is None else number(there), "" if here is None else number(here))
            yield f"{name} peak", *cells, _signed(number, (here or 0) - (there or 0))
    yield "time", *_ends(that.total_seconds, this.total_seconds, duration)
    yield "cost", *_ends(that.total_usd, this.total_usd, dollars)


def _words(name: str, there: str, here: str) -> tuple[str, str, str, str]:
    return name, there, here, "the same" if here == there else "differs"


def _ends(
    there: Estimate | None, here: Estimate | None, form: Callable[[float], str]
) -> tuple[str, str, str]:
    shown = tuple(UNKNOWN if each is None else form(each.expected) for each in (there, here))
    more = "" if there is None or here is None else _signed(form, here.expected - there.expected)
    return shown[0], shown[1], more


def _signed(form: Callable[[Number], str], value: Number) -> str:
    """`+1.20`, `-3 s`; `the same` where no digit that is shown differs."""
    shown = form(abs(value))
    return "the same" if shown == form(type(value)(0)) else f"{'+' if value > 0 else '-'}{shown}"
