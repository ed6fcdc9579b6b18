"""What it costs to rent cards for a workload, as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ullage.documents import Signed, document
from ullage.planning.cost import per_1000
from ullage.planning.phase_time import TimeBasis
from ullage.planning.renting import LeftOut, Rental, Renting
from ullage.planning.verdict import Verdict
from ullage.units import Estimate, Interval


@dataclass(frozen=True, slots=True)
class SetDocument:
    """A set of cards that holds the workload; bytes, seconds and dollars of all of it."""

    gpus: str
    verdict: Verdict
    peak: Interval
    ullage: Signed
    host: Interval
    seconds: Estimate | None
    basis: TimeBasis
    usd: Estimate | None
    usd_per_hour: float | None
    label: str | None
    provider: str | None
    as_of: str | None
    source: str | None
    host_bytes: int | None
    seconds_per_1000_examples: float | None
    usd_per_1000_examples: float | None
    other_counts: tuple[int, ...]
    days_behind: int | None


@dataclass(frozen=True, slots=True)
class RentingDocument:
    """The sets in the order of the page, and what was left out."""

    examples: int
    label: str
    provider: str
    file: str
    currency: Literal["USD"]
    recommended: str | None
    runner_up: str | None
    sets: tuple[SetDocument, ...]
    more: int
    beaten: int
    left_out: LeftOut


def renting_document(found: Renting) -> dict[str, object]:
    """As JSON."""
    best, second = found.best, found.runner_up
    said = RentingDocument(
        found.examples,
        found.label,
        found.provider,
        found.file,
        "USD",
        None if best is None else best.gpus.name,
        None if second is None else second.gpus.name,
        tuple(_set(each, found.examples) for each in found.rentals),
        found.more,
        found.beaten,
        found.left_out,
    )
    return document("gpu-sets", RentingDocument, said)


def _set(one: Rental, examples: int) -> SetDocument:
    cost, share = one.cost, per_1000(examples)
    return SetDocument(
        one.gpus.name,
        one.verdict,
        one.peak,
        one.ullage,
        one.host,
        one.seconds,
        one.basis,
        one.usd,
        None if cost is None else cost.usd_per_hour,
        None if cost is None else cost.label,
        None if cost is None else cost.provider,
        None if cost is None else cost.as_of,
        None if cost is None else cost.source,
        None if cost is None else cost.host_bytes,
        None if one.seconds is None else one.seconds.expected * share,
        None if one.usd is None else one.usd.expected * share,
        () if cost is None else cost.other_counts,
        None if cost is None else cost.days_behind,
    )
