"""Predicted beside measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from ullage.errors import FormatError
from ullage.fields import Fields
from ullage.phases.phase import whole_passes
from ullage.records.not_finite import NotFinite, not_finite_in
from ullage.records.record import Measured, Record, remarks_in
from ullage.records.replica import replicas_in
from ullage.shown import Shown
from ullage.units import Estimate, Interval

LEVELS = ("live", "reserved", "process", "device")
_MEASURED: Final = {"device": "on_device"}


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
class TimeComparison:
    """Seconds of a phase for the examples that were done: as planned, known by `basis`, and as measured.

    `error` is (expected - measured) / measured.
    """

    phase: str
    examples: int
    predicted: Estimate
    basis: str
    measured: float

    @property
    def error(self) -> float:
        return self.predicted.expected / self.measured - 1

    @property
    def verdict(self) -> Literal["inside", "below", "above"]:
        """Whether the measurement lies inside the interval, below or above it."""
        if self.measured > self.predicted.high:
            return "above"
        return "below" if self.measured < self.predicted.low else "inside"


@dataclass(frozen=True, slots=True)
class ReplicaComparison:
    """One of several processes that did a run: its name, its node, how many partitions it did, and its
    comparisons."""

    actor: str
    node: str
    partitions: int
    comparisons: tuple[Comparison, ...]


@dataclass(frozen=True, slots=True)
class Verification(Shown):
    """Every comparison of a run. It holds when no measured level exceeds its high value; its `times` are told
    and break nothing. Where several `replicas` did it, `comparisons` are of the most that any of them took.

    `not_finite` is what the record says of stored states that are NaN or infinite, if there are any;
    `remarks` is what the run remarks itself. Of a run that loaded no model nothing is compared.
    """

    comparisons: tuple[Comparison, ...]
    not_finite: NotFinite | None = None
    remarks: tuple[str, ...] = ()
    times: tuple[TimeComparison, ...] = ()
    replicas: tuple[ReplicaComparison, ...] = ()

    @property
    def holds(self) -> bool:
        return not self._above

    @property
    def _above(self) -> int:
        """Levels of the whole that exceed the plan. A level is no more than the most of any replica's."""
        return sum(one.kind == "level" and one.verdict == "above" for one in self.comparisons)

    def __repr__(self) -> str:
        if not self.comparisons:
            return "<Verification of no numbers: nothing that was planned was measured>"
        said = f"{self._above} levels exceed the plan" if self._above else "within the plan"
        return f"<Verification of {len(self.comparisons)} numbers: {said}>"


def verify(plan: Mapping[str, object], record: Record) -> Verification:
    """Compares a plan document with what a run of it measured, phase by phase and device by device.

    Raises FormatError where `plan` is none.
    """
    document = Fields(plan, "the manifest holds no plan document")
    replicas = replicas_in(record.outcome)
    each = (
        ReplicaComparison(name, one.node, one.partitions, _compared(document, one.measured))
        for name, one in replicas.items()
    )
    return Verification(
        _compared(document, record.measured),
        not_finite_in(record.outcome),
        remarks_in(record.outcome),
        tuple(_times(document, record)),
        tuple(each) if len(replicas) > 1 else (),
    )


def _compared(plan: Fields, measured: Sequence[Measured]) -> tuple[Comparison, ...]:
    found: list[Comparison] = []
    for each in measured:
        found += _levels(plan, each)
        found += _components(plan, each)
    return tuple(found)


def _times(plan: Fields, record: Record) -> Iterator[TimeComparison]:
    """Of each phase that was planned and entered; of a run that was resumed nothing, for the seconds of its
    earlier parts are not known."""
    if record.resumed or not record.examples or "phases" not in plan:
        return
    passes = {each.text("name"): _passes(each, record.examples) for each in plan.each("phases")}
    for time in plan.each("times"):
        phase, seconds = time.text("phase"), time.value("seconds")
        took = max((each.seconds for each in record.measured if each.phase == phase), default=0.0)
        if seconds is None or not took > 0 or phase not in passes:
            continue
        ends = time.inner("seconds")
        one = Estimate(*(ends.number(name) for name in ("low", "expected", "high")))
        basis = time.text("basis") if "basis" in time else "derived"
        yield TimeComparison(phase, record.examples, one * passes[phase], basis, took)


def _passes(phase: Fields, examples: int) -> int:
    """How many of a phase so many examples take."""
    return 1 if phase.flag("once") else whole_passes(phase.inner("work").number("passes"), examples)


def _levels(plan: Fields, measured: Measured) -> Iterator[Comparison]:
    device = _named(plan.each("devices"), measured.device)
    phase = None if device is None else _named(device.each("phases"), measured.phase)
    if phase is None:
        return
    for level in LEVELS:
        value = getattr(measured, _MEASURED.get(level, level))
        if value is not None:
            predicted = _interval(phase.inner(level))
            yield Comparison(measured.phase, measured.device, level, "level", predicted, value)


def _components(plan: Fields, measured: Measured) -> Iterator[Comparison]:
    sums: dict[str, Interval] = {}
    for item in plan.each("items"):
        place = (item.text("phase"), item.text("device"), item.text("level"))
        if place == (measured.phase, measured.device, "live"):
            size, component = _interval(item.inner("bytes")), item.text("component")
            before = sums.get(component)
            sums[component] = size if before is None else before + size
    for name, value in measured.components.items():
        if name in sums:
            yield Comparison(measured.phase, measured.device, name, "component", sums[name], value)


def _named(objects: Sequence[Fields], name: str) -> Fields | None:
    return next((each for each in objects if each.text("name") == name), None)


def _interval(found: Fields) -> Interval:
    low, expected, high = (found.whole(name) for name in ("low", "expected", "high"))
    if not low <= expected <= high:
        raise FormatError(
            f"{found.where}: low, expected and high are {low}, {expected}, {high}, not in this order"
        )
    return Interval(low, expected, high)
