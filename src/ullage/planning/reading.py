"""A plan read back whole from its document."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ullage.documents import VERSION, adapter
from ullage.errors import FormatError
from ullage.facts.architecture import Model
from ullage.facts.gpu import GpuSet
from ullage.phases.phase import Phase, Resident
from ullage.planning.advice.entry import Advice
from ullage.planning.bill import Bill, Totals
from ullage.planning.coherence import check_coherent
from ullage.planning.document import (
    SEAL,
    AdviceDocument,
    DeviceDocument,
    PhaseDocument,
    PlanDocument,
    plan_digest,
)
from ullage.planning.plan import DevicePlan, Plan
from ullage.spec.parse import Sections, parse_workload
from ullage.spec.workload import Workload


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
    try:
        made = _plan_of(_read(document), workload, open_model, base)
        check_coherent(made)
    except (KeyError, TypeError, ValueError, AssertionError) as error:
        said = f"{error} is missing" if isinstance(error, KeyError) else " ".join(str(error).split())[:200]
        raise FormatError(f"{where}: the plan was changed or cut short: {said}") from error
    if document[SEAL] != plan_digest(document):
        raise FormatError(
            f"{where}: the plan was changed after it was made; change the workload and plan anew"
        )
    return made


def _read(document: Mapping[str, Any]) -> PlanDocument:
    """Raises ValueError with the first field that is none of a plan's."""
    from pydantic import ValidationError

    try:
        # The manifest of a run leaves out where the plan was made.
        found: PlanDocument = adapter(PlanDocument).validate_python({"base": "", **document})
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise ValueError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    return found


def _plan_of(said: PlanDocument, workload: Workload, open_model: Callable[[str], Model], base: Path) -> Plan:
    return Plan(
        workload=workload,
        gpus=GpuSet(said.cards),
        phases=tuple(_phase(phase, workload) for phase in said.phases),
        roles=said.roles,
        bill=Bill(said.items, {device.name: _totals(device) for device in said.devices if device.phases}),
        devices=tuple(map(_device, said.devices)),
        verdict=said.verdict,
        times=said.times,
        cost=said.cost,
        advice=tuple(map(_advice, said.advice)),
        notes=said.notes,
        warnings=said.warnings,
        asked=said.asked,
        models={
            name: open_model(name) for name in dict.fromkeys(workload.roles[r].model for r in said.roles)
        },
        base=base,
        hosted=said.hosted,
        latency=None if said.latency is None else said.latency.latency(),
        stored=said.stored,
        search=said.search,
    )


def _phase(phase: PhaseDocument, workload: Workload) -> Phase:
    resident = tuple(
        Resident(each.name, workload.roles[each.name], each.where, each.cached_batch, each.cached_tokens)
        for each in phase.resident
    )
    return Phase(phase.name, resident, phase.running, phase.work, phase.once, phase.verb)


def _totals(device: DeviceDocument) -> dict[str, Totals]:
    return {each.name: Totals(each.live, each.reserved, each.process, each.device) for each in device.phases}


def _device(device: DeviceDocument) -> DevicePlan:
    peak = Totals(device.live, device.reserved, device.process, device.device)
    return DevicePlan(
        device.name, device.gpu, device.usable, device.budget, peak, device.peak_phase, device.verdict
    )


def _advice(entry: AdviceDocument) -> Advice:
    changes = tuple((each.path, each.value) for each in entry.changes)
    same = {name: getattr(entry, name) for name in Advice._fields if name not in ("changes", "quality_note")}
    return Advice(changes=changes, quality_note=entry.note, **same)
