"""What one run measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Final

from ullage.documents import document
from ullage.fields import Fields

ENDED: Final = "ended"
"""The field of a record's outcome with the day on which a run ended, as 2026-01-31."""
REMARKS: Final = "remarks"
"""The field of a record's outcome with lines that whoever started the run should read."""


@dataclass(frozen=True, slots=True)
class Measured:
    """Peak bytes of one phase on one device; None where the level cannot be read there.

    `components` are bytes of parts that were counted by themselves: weights, kv_cache, captures. `activity`
    is the phase's: load, prefill, decode, ...
    """

    phase: str
    device: str
    live: int | None
    reserved: int | None
    process: int | None
    on_device: int | None
    seconds: float
    components: Mapping[str, int] = field(default_factory=dict)
    activity: str = ""


@dataclass(frozen=True, slots=True)
class Environment:
    """What measurements depend on, and are kept apart by; `threads` are torch's, 0 if a record lacks them."""

    gpu: str
    driver: str
    torch: str
    transformers: str
    python: str
    ullage: str
    threads: int = 0


@dataclass(frozen=True, slots=True)
class Record:
    """One run: where, what was measured, how much was done. Of one that was `resumed` the seconds are those
    of its last part, whatever was done before."""

    environment: Environment
    measured: tuple[Measured, ...]
    examples: int
    tokens: int
    seconds: float
    splits: int
    outcome: Mapping[str, object] = field(default_factory=dict)
    resumed: bool = False

    def __repr__(self) -> str:
        part = ", its last part" if self.resumed else ""
        return (
            f"<Record of {self.examples:,} examples, {self.tokens:,} tokens in {self.seconds:,.1f} s{part} "
            f"on {self.environment.gpu}: {len(self.measured)} peaks>"
        )

    def _repr_html_(self) -> str:
        """The table that a notebook shows."""
        table: str = import_module("ullage.reports.held").record_table(self)
        return table

    def to_json(self) -> dict[str, object]:
        """The document of the run, as record.json holds it."""
        return document("record", Record, self)


def remarks_in(outcome: Mapping[str, object]) -> tuple[str, ...]:
    """What a run remarks. Raises FormatError where that is no list."""
    found = Fields(outcome, "the record's outcome")
    return tuple(map(str, found.array(REMARKS))) if REMARKS in outcome else ()


def read_record(document: Mapping[str, object], where: str) -> Record:
    """The record in a JSON document; `where` names it in messages. Raises FormatError where it is none."""
    found = Fields(document, f"{where}: not a record of a run")
    return Record(
        read_environment(found.inner("environment")),
        tuple(read_measured(each) for each in found.each("measured")),
        found.whole("examples"),
        found.whole("tokens"),
        found.number("seconds"),
        found.whole("splits"),
        found.inner("outcome").values if "outcome" in found else {},
        found.flag("resumed") if "resumed" in found else False,
    )


def read_environment(found: Fields) -> Environment:
    """The environment in a record or a manifest. Raises FormatError."""
    return Environment(
        found.text("gpu"),
        found.text("driver"),
        found.text("torch"),
        found.text("transformers"),
        found.text("python"),
        found.text("ullage"),
        found.whole("threads") if "threads" in found else 0,
    )


def read_measured(found: Fields) -> Measured:
    """What was measured of one phase, in a record. Raises FormatError."""
    return Measured(
        found.text("phase"),
        found.text("device"),
        found.whole_or_none("live"),
        found.whole_or_none("reserved"),
        found.whole_or_none("process"),
        found.whole_or_none("on_device"),
        found.number("seconds"),
        found.inner("components").wholes() if "components" in found else {},
        found.text("activity") if "activity" in found else "",
    )
