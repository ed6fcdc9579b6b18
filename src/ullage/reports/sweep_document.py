"""A sweep as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NotRequired

from typing_extensions import TypedDict

from ullage.documents import document
from ullage.planning.document import Item, Levels, set_totals
from ullage.planning.plan import DevicePlan
from ullage.planning.verdict import Verdict
from ullage.reports.sweep_page import Row
from ullage.units import Estimate, Interval


@dataclass(frozen=True, slots=True)
class PeakDocument:
    """A device at its peak."""

    name: str
    gpu: str
    usable: int | None
    verdict: Verdict
    peak_phase: str
    peak: Interval


class PointDocument(TypedDict):
    """A plan with its settings, or why it was refused; `items` where they were asked for."""

    settings: Mapping[str, str]
    verdict: Verdict | Literal["refused"]
    refused: str
    total: Levels | None
    devices: tuple[PeakDocument, ...]
    seconds: Estimate | None
    usd: Estimate | None
    usd_per_1000_examples: Estimate | None
    items: NotRequired[tuple[Item, ...]]


@dataclass(frozen=True, slots=True)
class SweepDocument:
    """What the table shows of each plan."""

    rows: tuple[PointDocument, ...]


def sweep_document(rows: Sequence[Row], items: bool = False) -> dict[str, object]:
    """As JSON; with `items` the line items of each plan too."""
    return document("sweep", SweepDocument, SweepDocument(tuple(_row(row, items) for row in rows)))


def _row(row: Row, items: bool) -> PointDocument:
    found = row.plan
    point = PointDocument(
        settings=dict(row.settings),
        verdict=row.verdict,
        refused=row.refused,
        total=None if found is None else set_totals(found.devices),
        devices=() if found is None else tuple(map(_device, found.devices)),
        seconds=None if found is None else found.total_seconds,
        usd=None if found is None else found.total_usd,
        usd_per_1000_examples=(
            None if found is None or found.cost is None else found.cost.usd_per_1000_examples
        ),
    )
    if items:
        point["items"] = () if found is None else found.bill.items
    return point


def _device(device: DevicePlan) -> PeakDocument:
    return PeakDocument(
        device.name, device.gpu, device.usable, device.verdict, device.peak_phase, device.peak.device
    )
