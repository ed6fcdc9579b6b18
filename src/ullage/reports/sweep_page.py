"""A sweep as a table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from ullage.reports.figures import dollars, durations, whole
from ullage.reports.gauge import TONES
from ullage.reports.pages.page import Part, Section
from ullage.reports.pages.table import Table
from ullage.reports.pages.words import Span, Words
from ullage.reports.plan_details import devices_of
from ullage.reports.plan_page import kinds_of

if TYPE_CHECKING:
    from ullage.planning.plan import Plan
    from ullage.planning.verdict import Verdict


TITLE: Final = "peak GiB of the fullest"


@dataclass(frozen=True, slots=True)
class Row:
    """The plan with these (path, value) settings; without one, why it was refused."""

    settings: tuple[tuple[str, str], ...]
    plan: Plan | None
    refused: str = ""

    @property
    def verdict(self) -> Verdict | Literal["refused"]:
        return "refused" if self.plan is None else self.plan.verdict


def sweep_page(rows: Sequence[Row], *, items: bool = False) -> Iterator[Part]:
    """A row for each point: its settings, the fullest device of each kind and what lies elsewhere, verdict,
    time, cost where any is known, and why one was refused; costs by another label than was asked for are
    marked. `items` shows the line items of every point."""
    peaks = [{} if row.plan is None else _peaks(row.plan) for row in rows]
    devices = tuple(dict.fromkeys(name for each in peaks for name in each))
    costs = [_usd(row.plan) for row in rows]
    optional = {"$/1000": any(costs), "why": any(row.refused for row in rows)}
    last = ("verdict", "time", *(name for name, held in optional.items() if held))
    lines: list[tuple[Words, ...]] = []
    for row, peak, usd in zip(rows, peaks, costs, strict=True):
        more = {"$/1000": usd, "why": row.refused}
        lines.append(
            (
                *(value for _, value in row.settings),
                *(peak.get(name, "") for name in devices),
                Span(row.verdict, TONES.get(row.verdict, "bad")),
                "" if row.plan is None else durations(row.plan.total_seconds),
                *(more[name] for name in last[2:]),
            )
        )
    paths = [path for path, _ in rows[0].settings] if rows else []
    names = [path.rpartition(".")[2] for path in paths]
    names = names if len({*names, *devices, *last}) == len((*names, *devices, *last)) else paths
    columns, right = (*names, *devices, *last), frozenset((*devices, "$/1000"))
    title = f"{TITLE}, at {', '.join(paths)}"
    yield Table(columns, tuple(lines), right, _of_marks(rows), title, frozenset({"why"}))
    for row in rows:
        if items and row.plan is not None:
            yield Section(_point(row), tuple(devices_of(row.plan)))


def _point(row: Row) -> str:
    return " ".join(f"{path}={value}" for path, value in row.settings)


def _usd(plan: Plan | None) -> str:
    """Of 1000 examples; nothing where it is not known."""
    usd = None if plan is None or plan.cost is None else plan.cost.usd_per_1000_examples
    return "" if usd is None else f"{dollars(usd).removeprefix('$')}{'*' if plan and _marked(plan) else ''}"


def _marked(plan: Plan) -> str:
    """By which label its cost is, where that which was asked for has no price."""
    return "" if plan.cost is None or not plan.cost.instead_of else plan.cost.label


def _of_marks(rows: Sequence[Row]) -> str:
    labels = dict.fromkeys(label for row in rows if row.plan is not None and (label := _marked(row.plan)))
    return f"* by {' or '.join(labels)} prices, for want of one by the label compared" if labels else ""


def _peaks(plan: Plan) -> dict[str, str]:
    """Of each kind of device its fullest, and of host memory and disk."""
    found = {}
    for kind in kinds_of(plan):
        device = kind.fullest
        count = f"{len(kind.devices)}x " if len(kind.devices) > 1 else ""
        found[device.name if device.gpu == device.name else f"{count}{device.gpu}"] = whole(
            device.peak.device
        )
    return found | {each.name: whole(each.peak.device) for each in plan.devices if each.usable is None}
