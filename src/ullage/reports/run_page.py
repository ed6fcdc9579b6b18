"""A run, or a check before one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ullage.documents import header
from ullage.fields import Fields
from ullage.records.failing import AGAIN, failing_in
from ullage.records.fits import fits_in
from ullage.records.not_finite import not_finite_in
from ullage.records.record import Measured, Record, remarks_in
from ullage.reports.pages.page import Part, Prose
from ullage.reports.pages.table import Table
from ullage.text import one_line
from ullage.units import gib

PAGE: Final = "report.html"
"""What every kind that writes a page calls it."""


@dataclass(frozen=True, slots=True)
class CheckDocument:
    """Of each role the devices its modules are on, and the peaks of one smallest batch."""

    device_maps: Mapping[str, Mapping[str, str]]
    measured: tuple[Measured, ...]


@dataclass(frozen=True, slots=True)
class RunCheckDocument:
    """Whether a run is whole: places that are not what was written, and what a repair took away."""

    folder: str
    complete: bool
    done: int
    damaged: tuple[str, ...]
    dropped: tuple[str, ...]


def run_page(folder: Path, record: Record) -> Iterator[Part]:
    """What was done, the peaks, and where to look next."""
    rate = record.tokens / record.seconds if record.seconds else 0.0
    yield Prose(
        f"{record.examples:,} records, {record.tokens:,} tokens in {record.seconds:,.1f} s "
        f"({rate:,.0f} tokens/s with loading) -> {folder}"
    )
    if record.splits:
        yield Prose(f"memory ran out {record.splits} times; those batches were split and nothing is lost")
    yield from (Prose(str(fit)) for fit in fits_in(record.outcome))
    yield from (Prose(line, "warning") for line in _remarks(record))
    yield _peaks(record.measured)
    if (folder / PAGE).is_file():
        yield Prose(f"{folder / PAGE} is the page of it all", "note")
    yield Prose(f"ullage verify {folder} shows predicted against measured", "note")
    failing = failing_in(record.outcome)
    if failing and record.outcome.get(AGAIN, True) is True:
        yield Prose(f"ullage run --resume {folder} asks again", "note")
    yield from (Prose(one_line(str(each)), "warning") for each in failing)


def _remarks(record: Record) -> Iterator[str]:
    """What of the stored states is not as one would expect, and what the kind remarks."""
    outcome = Fields(record.outcome, "the record's outcome")
    for each in outcome.each("short") if "short" in outcome else ():
        none = each.whole("none")
        yield (
            f"positions: {each.text('positions')}: {each.whole('fewer'):,} of {record.examples:,} texts have "
            f"fewer{f', {none:,} of them none' if none else ''}"
        )
    yield from map(one_line, remarks_in(record.outcome))
    found = not_finite_in(record.outcome)
    if found is not None:
        yield str(found)


def run_document(folder: Path, record: Record) -> dict[str, object]:
    """The record and where it lies."""
    return {**header("record"), "folder": str(folder), **record.to_json()}


def check_page(found: CheckDocument) -> Iterator[Part]:
    """Where each role's modules are, and the peaks of one smallest batch."""
    for name, modules in found.device_maps.items():
        for device in dict.fromkeys(modules.values()):
            held = [module for module, where in modules.items() if where == device]
            shown = held[0] if len(held) == 1 else f"{held[0]} ... {held[-1]} ({len(held)} modules)"
            yield Prose(f"{name} on {device}: {shown}")
    yield _peaks(found.measured)


def run_check_page(found: RunCheckDocument) -> Iterator[Part]:
    """What of a run's folder is not what was written, and what was taken away for it."""
    yield from map(Prose, found.damaged)
    if not found.damaged:
        ended = "ended" if found.complete else "not ended"
        yield Prose(f"{found.folder}: whole, {found.done:,} pieces of work, {ended}")
    yield from (Prose(f"dropped {line}") for line in found.dropped)
    if found.damaged and not found.complete:
        yield Prose(f"ullage run --resume {found.folder} does again what is missing", "note")


def _peaks(measured: Iterable[Measured]) -> Table:
    numbers = ("live", "reserved", "process", "device", "seconds")
    rows = []
    for one in measured:
        values = (one.live, one.reserved, one.process, one.on_device)
        sizes = ("-" if value is None else gib(value) for value in values)
        rows.append((one.device, one.phase, *sizes, f"{one.seconds:,.1f}"))
    return Table(("on", "phase", *numbers), tuple(rows), frozenset(numbers), title="measured peaks")
