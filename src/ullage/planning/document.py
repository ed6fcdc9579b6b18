"""A plan as a JSON document, written and read back whole; docs/json.md describes it.

What a run needs beside what the page shows stands under `settled` (the workload in the precisions that were
settled on), `cards`, `roles` and `phases`: a server or a worker on another machine is handed this document.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ullage.errors import FormatError
from ullage.facts.architecture import Model
from ullage.facts.gpu import Gpu, GpuSet
from ullage.phases.phase import Phase, Work
from ullage.planning.advice.entry import Advice, Search
from ullage.planning.bill import Bill, LineItem, Totals
from ullage.planning.coherence import check_coherent
from ullage.planning.cost import Cost
from ullage.planning.hosted import Hosted
from ullage.planning.latency import Latency
from ullage.planning.latency_document import latency_document
from ullage.planning.phase_time import PhaseTime
from ullage.planning.plan import DevicePlan, Plan
from ullage.planning.role_plan import RolePlan
from ullage.planning.verdict import Verdict
from ullage.spec.parse import Sections, parse_workload
from ullage.spec.stored import Stored
from ullage.spec.workload import ONE_MODEL
from ullage.spec.written import workload_text
from ullage.units import Estimate, Interval, total

if TYPE_CHECKING:
    from pydantic import TypeAdapter

    from ullage.spec.workload import Workload

VERSION = 1
SEAL = "sha256"
"""The last field of a plan: a run carries out what was planned, to the letter."""
LEVELS = ("live", "reserved", "process", "device")
Document = dict[str, Any]


def header(kind: str) -> Document:
    """How every document begins."""
    return {"document": kind, "version": VERSION}


def interval(value: Interval) -> dict[str, int]:
    """Bytes, low to high."""
    return {"low": value.low, "expected": value.expected, "high": value.high}


def totals(value: Totals) -> dict[str, dict[str, int]]:
    """The four levels of one device."""
    return {level: interval(getattr(value, level)) for level in LEVELS}


def set_totals(devices: Iterable[DevicePlan]) -> dict[str, dict[str, int]]:
    """The four totals summed over the GPUs' own peaks; host memory and disk are not GPUs."""
    cards = [device.peak for device in devices if device.name.startswith("gpu:") or device.gpu == "CPU"]
    return {level: interval(total(getattr(peak, level) for peak in cards)) for level in LEVELS}


def plan_document(plan: Plan) -> Document:
    """Everything a plan says. That of one model without a task is an estimate; any other ends with its own
    SHA-256."""
    kind = "estimate" if plan.workload.kind == ONE_MODEL else "plan"
    found = {
        **header(kind),
        "workload": plan.title,
        "kind": plan.workload.kind,
        "gpus": plan.gpus.name,
        "verdict": plan.verdict,
        "devices": [_device(device, plan) for device in plan.devices],
        "total": set_totals(plan.devices),
        "items": items_document(plan),
        "placement": {name: dict(plan.roles[name].placement.device_map) for name in sorted(plan.roles)},
        "decisions": [{"subject": d.subject, "choice": d.choice, "reason": d.reason} for d in plan.decisions],
        "times": [_adapter(PhaseTime).dump_python(time) for time in plan.times],
        "cost": None if plan.cost is None else _adapter(Cost).dump_python(plan.cost),
        "hosted": [_adapter(Hosted).dump_python(each) for each in plan.hosted],
        "latency": None if plan.latency is None else latency_document(plan.latency),
        "stored": [{**each._asdict(), "bytes": interval(each.bytes)} for each in plan.stored],
        "advice": [_advice(entry) for entry in plan.advice],
        "search": None if plan.search is None else _adapter(Search).dump_python(plan.search),
        "notes": list(plan.notes),
        "warnings": list(plan.warnings),
        **_carried(plan),
    }
    return found if kind != "plan" else {**found, SEAL: _digest(found)}


def items_document(plan: Plan) -> list[Document]:
    """Every line item."""
    return [_item(item) for item in plan.bill.items]


def estimate_document(value: Estimate | None) -> dict[str, float] | None:
    """Seconds or dollars, low to high; None where they are not known."""
    return None if value is None else value._asdict()


def _digest(document: Mapping[str, Any]) -> str:
    """SHA-256 of all that a document says but where it was made, whatever its layout."""
    from hashlib import sha256

    said = {key: value for key, value in document.items() if key not in ("base", SEAL)}
    return sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def _item(item: LineItem) -> Document:
    return {
        "role": item.role,
        "component": item.component,
        "device": item.device,
        "phase": item.phase,
        "layers": list(item.layers) if item.layers is not None else None,
        "bytes": interval(item.bytes),
        "basis": item.basis,
        "level": item.level,
        "note": item.note,
    }


def _advice(entry: Advice) -> Document:
    changes = [{"path": path, "value": value} for path, value in entry.changes]
    found = {**entry._asdict(), "changes": changes, "note": entry.quality_note}
    del found["quality_note"]
    found |= {"peak": interval(entry.peak), "host": interval(entry.host)}
    return found | {"unknown": list(entry.unknown)}


def _device(device: DevicePlan, plan: Plan) -> Document:
    return {
        "name": device.name,
        "gpu": device.gpu,
        "usable": device.usable,
        "budget": device.budget,
        **_of_card(plan.card_of(device)),
        "ullage": device.ullage,
        "verdict": device.verdict,
        "peak_phase": device.peak_phase,
        **totals(device.peak),
        "phases": [
            {"name": phase.name, **totals(plan.bill.totals[device.name][phase.name])}
            for phase in plan.phases
            if phase.name in plan.bill.totals.get(device.name, {})
        ],
    }


def _of_card(gpu: Gpu | None) -> Document:
    """How the memory of a card is known, of which the low end is what is usable."""
    return {
        "usable_range": None if gpu is None else interval(gpu.usable),
        "usable_basis": None if gpu is None else gpu.usable_basis,
        "usable_source": None if gpu is None else gpu.usable_source,
    }


def _carried(plan: Plan) -> Document:
    """What a run needs and no page shows. A phase names its residents; what they are stands in `settled`."""
    return {
        "asked": plan.asked,
        "base": str(plan.base.resolve()),
        "settled": json.loads(workload_text(plan.workload)),
        "cards": _adapter(tuple[Gpu, ...]).dump_python(plan.gpus.gpus, mode="json"),
        "roles": _adapter(dict[str, RolePlan]).dump_python(dict(plan.roles), mode="json"),
        "phases": [_phase(phase) for phase in plan.phases],
    }


def _phase(phase: Phase) -> Document:
    residents = [resident._asdict() for resident in phase.resident]
    for resident in residents:
        del resident["role"]
    work = _adapter(Work).dump_python(phase.work, mode="json")
    return {**phase._asdict(), "resident": residents, "work": work}


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    from pydantic import TypeAdapter

    return TypeAdapter(kind)


def read_plan(
    document: Mapping[str, Any],
    where: str,
    sections: Sections,
    open_model: Callable[[str], Model],
    base: Path,
) -> Plan:
    """The plan that `plan_document` wrote; `where` names the document in messages.

    `open_model` gives the model a role names, once each. Raises FormatError for what is no plan, or was
    written by another version.
    """
    if document.get("document") != "plan" or document.get("version") != VERSION:
        raise FormatError(f"{where}: is no plan that this ullage reads; write one with `ullage plan --json`")
    lacking = [key for key in ("asked", "settled", "cards", "roles", "phases", SEAL) if key not in document]
    if lacking:
        raise FormatError(f"{where}: lacks {lacking[0]!r}: it is of an earlier version; plan anew")
    workload = parse_workload(json.dumps(document["settled"]), where, sections)
    digest = _digest(document)
    try:
        made = _plan_of(document, workload, open_model, base)
        check_coherent(made)
    except (KeyError, TypeError, ValueError, AssertionError) as error:
        said = f"{error} is missing" if isinstance(error, KeyError) else " ".join(str(error).split())[:200]
        raise FormatError(f"{where}: the plan was changed or cut short: {said}") from error
    if document[SEAL] != digest:
        raise FormatError(
            f"{where}: the plan was changed after it was made; change the workload and plan anew"
        )
    return made


def _plan_of(
    document: Mapping[str, Any], workload: Workload, open_model: Callable[[str], Model], base: Path
) -> Plan:
    for phase in document["phases"]:
        for resident in phase["resident"]:
            resident["role"] = workload.roles[resident["name"]]
    roles = _read(dict[str, RolePlan], document["roles"], "roles")
    models = {name: open_model(name) for name in dict.fromkeys(workload.roles[r].model for r in roles)}
    return Plan(
        workload,
        GpuSet(_read(tuple[Gpu, ...], document["cards"], "cards")),
        _read(tuple[Phase, ...], document["phases"], "phases"),
        roles,
        Bill(_read(tuple[LineItem, ...], document["items"], "items"), _read_totals(document["devices"])),
        tuple(map(_read_device, document["devices"])),
        _read(Verdict, document["verdict"], "verdict"),
        _read(tuple[PhaseTime, ...], document["times"], "times"),
        _read(Cost | None, document["cost"], "cost"),
        tuple(map(_read_advice, document["advice"])),
        _read(tuple[str, ...], document["notes"], "notes"),
        _read(tuple[str, ...], document["warnings"], "warnings"),
        _read(str, document["asked"], "asked"),
        models,
        base,
        _read(tuple[Hosted, ...], document["hosted"], "hosted"),
        _read(Latency | None, document["latency"], "latency"),
        _read(tuple[Stored, ...], document["stored"], "stored"),
        _read(Search | None, document["search"], "search"),
    )


def _read(kind: Any, value: object, name: str) -> Any:
    """`value`, which stands under `name`, as one of `kind`; raises ValueError where it is none."""
    from pydantic import ValidationError

    try:
        return _adapter(kind).validate_python(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise ValueError(f"{'.'.join(map(str, (name, *first['loc'])))}: {first['msg']}") from error


def _levels(document: Document) -> Totals:
    return Totals(*(_read(Interval, document[level], level) for level in LEVELS))


def _read_totals(devices: Iterable[Document]) -> dict[str, dict[str, Totals]]:
    return {
        device["name"]: {phase["name"]: _levels(phase) for phase in device["phases"]}
        for device in devices
        if device["phases"]
    }


def _read_device(device: Document) -> DevicePlan:
    fields = {name: device[name] for name in ("name", "gpu", "usable", "budget", "peak_phase", "verdict")}
    found: DevicePlan = _read(
        DevicePlan, {**fields, "peak": {level: device[level] for level in LEVELS}}, "devices"
    )
    return found


def _read_advice(entry: Document) -> Advice:
    changes = [(change["path"], change["value"]) for change in entry["changes"]]
    fields = {name: value for name, value in entry.items() if name in Advice._fields}
    found: Advice = _read(Advice, {**fields, "changes": changes, "quality_note": entry["note"]}, "advice")
    return found
