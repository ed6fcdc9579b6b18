"""What past runs left, as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version

from ullage.documents import document
from ullage.records.evidence import RULE, Evidence, learned
from ullage.records.observation import Key, Observation
from ullage.records.timing import RULE as TIME_RULE
from ullage.records.timing import Timing, learned_times
from ullage.units import Estimate, Interval


@dataclass(frozen=True, slots=True)
class NotCounted:
    """Lines of the file that are set aside, and why."""

    reason: str
    lines: int


@dataclass(frozen=True, slots=True)
class Planned:
    """What plans bill a process beside its tensors."""

    key: Key
    workload: str
    runs: int
    bytes: Interval
    source: str


@dataclass(frozen=True, slots=True)
class PlannedTime:
    """Seconds that plans take one pass to need."""

    key: Key
    gpus: str
    workload: str
    phase: str
    manner: str
    seconds: Estimate
    source: str


@dataclass(frozen=True, slots=True)
class EvidenceDocument:
    """What runs measured here, and what plans take from it; `cleared`: it was removed."""

    file: str
    cleared: bool
    damage: str
    not_counted: tuple[NotCounted, ...]
    observations: tuple[Observation, ...]
    timings: tuple[Timing, ...]
    planned: tuple[Planned, ...]
    planned_times: tuple[PlannedTime, ...]
    rule: str
    time_rule: str


def evidence_document(found: Evidence, cleared: bool = False) -> dict[str, object]:
    """As JSON; bytes and seconds. `cleared` says that what is listed was removed."""
    said = EvidenceDocument(
        found.file,
        cleared,
        found.damage,
        tuple(NotCounted(*each) for each in found.set_aside),
        found.observations,
        found.timings,
        tuple(
            Planned(each.key, each.workload, each.runs, each.overhead.bytes, each.overhead.source)
            for each in learned(found)
        ),
        tuple(
            PlannedTime(
                each.key,
                each.gpus,
                each.workload,
                each.phase,
                each.manner,
                each.time.seconds,
                each.time.source,
            )
            for each in learned_times(found.timings, version("ullage"))
        ),
        RULE,
        TIME_RULE,
    )
    return document("evidence", EvidenceDocument, said)
