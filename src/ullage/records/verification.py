"""Predicted beside measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ullage.errors import FormatError
from ullage.records.record import Measured, Record
from ullage.shown import Shown
from ullage.units import Interval

LEVELS = ("live", "reserved", "process", "device")
_MEASURED = {"device": "on_device"}


@dataclass(frozen=True, slots=True)
class Comparison:
    """One number of a phase on a device: a level's peak or a component's bytes.

    `error` is (expected - measured) / measured; None where nothing was measured.
    """

    phase: str
    device: str
    what: str
    kind: Literal["level", "component"]
    predicted: Interval
    measured: int

    @property
    def error(self) -> float | None:
        return None if self.measured == 0 else self.predicted.expected / self.measured - 1

    @property
    def verdict(self) -> Literal["inside", "below", "above"]:
        """Whether the measurement lies inside the interval, below or above it."""
        if self.measured > self.predicted.high:
            return "above"
        return "below" if self.measured < self.predicted.low else "inside"


@dataclass(frozen=True, slots=True)
class Verification(Shown):
    """Every comparison of a run. It holds when no measured level exceeds its high value."""

    comparisons: tuple[Comparison, ...]

    @property
    def holds(self) -> bool:
        return not any(c.verdict == "above" for c in self.comparisons if c.kind == "level")

    def __repr__(self) -> str:
        above = sum(one.kind == "level" and one.verdict == "above" for one in self.comparisons)
        said = f"{above} levels exceed the plan" if above else "within the plan"
        return f"<Verification of {len(self.comparisons)} numbers: {said}>"


def verify(plan: Mapping[str, Any], record: Record) -> Verification:
    """Compares a plan document with what a run of it measured, phase by phase and device by device.

    Raises FormatError where `plan` is none.
    """
    found = []
    try:
        for measured in record.measured:
            found += list(_levels(plan, measured)) + list(_components(plan, measured))
    except (KeyError, TypeError) as error:
        raise FormatError(f"the manifest holds no plan document: {error}") from error
    return Verification(tuple(found))


def _levels(plan: Mapping[str, Any], measured: Measured) -> Iterator[Comparison]:
    device = next((d for d in plan["devices"] if d["name"] == measured.device), None)
    phase = next((p for p in device["phases"] if p["name"] == measured.phase), None) if device else None
    if phase is None:
        return
    for level in LEVELS:
        value = getattr(measured, _MEASURED.get(level, level))
        if value is not None:
            yield Comparison(measured.phase, measured.device, level, "level", Interval(**phase[level]), value)


def _components(plan: Mapping[str, Any], measured: Measured) -> Iterator[Comparison]:
    sums: dict[str, Interval] = {}
    for item in plan["items"]:
        if (item["phase"], item["device"]) == (measured.phase, measured.device) and item["level"] == "live":
            size = Interval(**item["bytes"])
            before = sums.get(item["component"])
            sums[item["component"]] = size if before is None else before + size
    for name, value in measured.components.items():
        if name in sums:
            yield Comparison(measured.phase, measured.device, name, "component", sums[name], value)
