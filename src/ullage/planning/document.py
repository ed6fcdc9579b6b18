"""A plan as a JSON document; docs/json.md describes it.

What a run needs beside what the page shows stands under `settled` (the workload in the precisions that were
settled on), `cards`, `roles` and `phases`: a server or a worker on another machine is handed this document,
and `planning.reading` reads it back.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final

from ullage.documents import ByName, Signed, document
from ullage.facts.gpu import Basis, Gpu
from ullage.phases.phase import Phase, Where, Work
from ullage.planning.advice.entry import Advice, LossBasis, Search
from ullage.planning.bill import LineItem, Totals
from ullage.planning.cost import Cost
from ullage.planning.decision import Decision
from ullage.planning.hosted import Hosted
from ullage.planning.latency_document import LatencyDocument, latency_document
from ullage.planning.phase_time import PhaseTime
from ullage.planning.plan import DevicePlan, Plan
from ullage.planning.role_plan import RolePlan
from ullage.planning.verdict import Verdict
from ullage.spec.stored import Stored
from ullage.spec.workload import ONE_MODEL
from ullage.spec.written import workload_text
from ullage.units import Estimate, Interval, total

SEAL: Final = "sha256"
"""The last field of a plan: a run carries out what was planned, to the letter."""
_ITEM: Final = ("role", "component", "device", "phase", "layers", "bytes", "basis", "level", "note")
Item = Annotated[LineItem, ByName(*_ITEM)]
Levels = Annotated[Totals, ByName()]


class _WorkloadFile:
    def __get_pydantic_json_schema__(self, schema: object, handler: object) -> dict[str, Any]:
        return {"type": "object", "required": ["kind", "roles"]}


@dataclass(frozen=True, slots=True)
class PhaseTotals:
    """The four levels of a device in a phase."""

    name: str
    live: Interval
    reserved: Interval
    process: Interval
    device: Interval


@dataclass(frozen=True, slots=True)
class DeviceDocument:
    """A device with the four levels of its peak. `usable` is the low end of what its card has; of host memory
    and disk nothing is known but the file's limit."""

    name: str
    gpu: str
    usable: int | None
    budget: int | None
    usable_range: Interval | None
    usable_basis: Basis | None
    usable_source: str | None
    ullage: Signed | None
    verdict: Verdict
    peak_phase: str
    live: Interval
    reserved: Interval
    process: Interval
    device: Interval
    phases: tuple[PhaseTotals, ...]


@dataclass(frozen=True, slots=True)
class Change:
    """A `--set` path and its value."""

    path: str
    value: str


@dataclass(frozen=True, slots=True)
class AdviceDocument:
    """One way to make the workload fit, cheaper or faster, with what `note` says of its quality."""

    changes: tuple[Change, ...]
    gpus: str
    verdict: Verdict
    quality_loss: float
    seconds_per_1000_examples: float | None
    usd_per_1000_examples: float | None
    saves: Signed
    peak: Interval
    quality_basis: LossBasis
    own_cards: bool
    known_seconds: float
    usd_per_hour: float | None
    host: Interval
    host_usd_per_hour: float | None
    unknown: tuple[str, ...]
    seconds: Estimate | None
    usd: Estimate | None
    note: str


@dataclass(frozen=True, slots=True)
class ResidentDocument:
    """A role that holds memory during a phase, by its name in `settled`."""

    name: str
    where: Where
    cached_batch: int
    cached_tokens: int


@dataclass(frozen=True, slots=True)
class PhaseDocument:
    """A phase: who is there and what runs."""

    name: str
    resident: tuple[ResidentDocument, ...]
    running: str
    work: Work
    once: bool
    verb: str


@dataclass(frozen=True, slots=True)
class PlanDocument:
    """Everything a plan says."""

    workload: str
    kind: str
    gpus: str
    verdict: Verdict
    devices: tuple[DeviceDocument, ...]
    total: Levels
    items: tuple[Item, ...]
    placement: Mapping[str, Mapping[str, str]]
    decisions: tuple[Annotated[Decision, ByName()], ...]
    times: tuple[PhaseTime, ...]
    cost: Cost | None
    hosted: tuple[Hosted, ...]
    latency: LatencyDocument | None
    stored: tuple[Annotated[Stored, ByName()], ...]
    advice: tuple[AdviceDocument, ...]
    search: Search | None
    notes: tuple[str, ...]
    warnings: tuple[str, ...]
    asked: str
    base: str
    settled: Annotated[Mapping[str, object], _WorkloadFile()]
    cards: tuple[Gpu, ...]
    roles: Mapping[str, RolePlan]
    phases: tuple[PhaseDocument, ...]


def plan_document(plan: Plan) -> dict[str, Any]:
    """Everything a plan says. That of one model without a task is an estimate; any other ends with its own
    SHA-256."""
    kind = "estimate" if plan.workload.kind == ONE_MODEL else "plan"
    found = document(kind, PlanDocument, _said(plan))
    return found if kind != "plan" else {**found, SEAL: plan_digest(found)}


def set_totals(devices: Iterable[DevicePlan]) -> Totals:
    """The four totals summed over the GPUs' own peaks; host memory and disk are not GPUs."""
    cards = [device.peak for device in devices if device.name.startswith("gpu:") or device.gpu == "CPU"]
    return Totals(*(total(getattr(peak, level) for peak in cards) for level in Totals._fields))


def plan_digest(document: Mapping[str, Any]) -> str:
    """SHA-256 of all that a document says but where it was made, whatever its layout."""
    from hashlib import sha256

    said = {key: value for key, value in document.items() if key not in ("base", SEAL)}
    return sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def _said(plan: Plan) -> PlanDocument:
    return PlanDocument(
        workload=plan.title,
        kind=plan.workload.kind,
        gpus=plan.gpus.name,
        verdict=plan.verdict,
        devices=tuple(_device(device, plan) for device in plan.devices),
        total=set_totals(plan.devices),
        items=plan.bill.items,
        placement={name: plan.roles[name].placement.device_map for name in sorted(plan.roles)},
        decisions=plan.decisions,
        times=plan.times,
        cost=plan.cost,
        hosted=plan.hosted,
        latency=None if plan.latency is None else latency_document(plan.latency),
        stored=plan.stored,
        advice=tuple(map(_advice, plan.advice)),
        search=plan.search,
        notes=plan.notes,
        warnings=plan.warnings,
        asked=plan.asked,
        base=str(plan.base.resolve()),
        settled=json.loads(workload_text(plan.workload)),
        cards=plan.gpus.gpus,
        roles=plan.roles,
        phases=tuple(map(_phase, plan.phases)),
    )


def _device(device: DevicePlan, plan: Plan) -> DeviceDocument:
    gpu, totals = plan.card_of(device), plan.bill.totals.get(device.name, {})
    return DeviceDocument(
        device.name,
        device.gpu,
        device.usable,
        device.budget,
        None if gpu is None else gpu.usable,
        None if gpu is None else gpu.usable_basis,
        None if gpu is None else gpu.usable_source,
        device.ullage,
        device.verdict,
        device.peak_phase,
        *device.peak,
        tuple(PhaseTotals(phase.name, *totals[phase.name]) for phase in plan.phases if phase.name in totals),
    )


def _advice(entry: Advice) -> AdviceDocument:
    said = entry._asdict()
    changes, note = tuple(Change(*each) for each in said.pop("changes")), said.pop("quality_note")
    return AdviceDocument(changes=changes, note=note, **said)


def _phase(phase: Phase) -> PhaseDocument:
    resident = tuple(
        ResidentDocument(each.name, each.where, each.cached_batch, each.cached_tokens)
        for each in phase.resident
    )
    return PhaseDocument(phase.name, resident, phase.running, phase.work, phase.once, phase.verb)
