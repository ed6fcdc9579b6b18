"""A run, or a check before one, on the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ullage.documents import document, header
from ullage.fields import Fields
from ullage.records.failing import AGAIN, failing_in
from ullage.records.fits import fits_in
from ullage.records.not_finite import not_finite_in
from ullage.records.record import Measured, Record, remarks_in
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


def show_run(folder: Path, record: Record, console: Console) -> None:
    """What was done, the peaks, and where to look next."""
    rate = record.tokens / record.seconds if record.seconds else 0.0
    console.print(
        f"{record.examples:,} records, {record.tokens:,} tokens in {record.seconds:,.1f} s "
        f"({rate:,.0f} tokens/s with loading) -> {folder}"
    )
    if record.splits:
        console.print(f"memory ran out {record.splits} times; those batches were split and nothing is lost")
    for fit in fits_in(record.outcome):
        console.print(Text(str(fit)))
    for line in _remarks(record):
        console.print(Text(line, style="yellow"))
    console.print(_peaks(record.measured))
    if (folder / PAGE).is_file():
        console.print(Text(f"{folder / PAGE} is the page of it all", style="dim"))
    console.print(Text(f"ullage verify {folder} shows predicted against measured", style="dim"))
    failing = failing_in(record.outcome)
    if failing and record.outcome.get(AGAIN, True) is True:
        console.print(Text(f"ullage run --resume {folder} asks again", style="dim"))
    for each in failing:
        console.print(Text(one_line(str(each)), style="yellow"))


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


def show_check(maps: Mapping[str, Mapping[str, str]], measured: Iterable[Measured], console: Console) -> None:
    """Where each role's modules are, and the peaks of one smallest batch."""
    for name, modules in maps.items():
        for device in dict.fromkeys(modules.values()):
            held = [module for module, where in modules.items() if where == device]
            shown = held[0] if len(held) == 1 else f"{held[0]} ... {held[-1]} ({len(held)} modules)"
            console.print(f"{name} on {device}: {shown}")
    console.print(_peaks(measured))


def check_document(maps: Mapping[str, Mapping[str, str]], measured: Iterable[Measured]) -> dict[str, object]:
    """Where each role's modules are, and the peaks."""
    return document("check", CheckDocument, CheckDocument(maps, tuple(measured)))


def show_run_check(
    folder: Path, complete: bool, done: int, damaged: Sequence[str], dropped: Sequence[str], console: Console
) -> None:
    """What of a run's folder is not what was written, and what was taken away for it."""
    for line in damaged:
        console.print(Text(line))
    if not damaged:
        console.print(f"{folder}: whole, {done:,} pieces of work, {'ended' if complete else 'not ended'}")
    for line in dropped:
        console.print(Text(f"dropped {line}"))
    if damaged and not complete:
        console.print(Text(f"ullage run --resume {folder} does again what is missing", style="dim"))


def run_check_document(
    folder: Path, complete: bool, done: int, damaged: Sequence[str], dropped: Sequence[str]
) -> dict[str, object]:
    """Whether a run is whole."""
    found = RunCheckDocument(str(folder), complete, done, tuple(damaged), tuple(dropped))
    return document("run-check", RunCheckDocument, found)


def _peaks(measured: Iterable[Measured]) -> Table:
    table = Table(title="measured peaks", title_justify="left", box=None, pad_edge=False, header_style="bold")
    table.add_column("device")
    table.add_column("phase")
    for name in ("live", "reserved", "process", "device", "seconds"):
        table.add_column(name, justify="right", no_wrap=True)
    for one in measured:
        values = (one.live, one.reserved, one.process, one.on_device)
        sizes = ["-" if value is None else gib(value) for value in values]
        table.add_row(one.device, one.phase, *sizes, f"{one.seconds:,.1f}")
    return table
