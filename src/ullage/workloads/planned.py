"""From a workload to its plan: the models it names, its kind's phases, the precisions that fit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ullage.errors import InputError
from ullage.workloads.loading import load

if TYPE_CHECKING:
    from ullage.facts.architecture import Model
    from ullage.facts.gpu import GpuSet
    from ullage.memory.demand import Demand
    from ullage.phases.phase import Phase
    from ullage.planning.advice import Outcome
    from ullage.planning.plan import Advice, Plan
    from ullage.spec.workload import Workload


def plan(
    workload: Workload | str | Path | Mapping[str, object],
    gpus: str | None = None,
    *,
    base: Path | None = None,
    advice: bool = True,
) -> Plan:
    """The plan of a workload, given as it is, as its file or as a mapping, on `gpus` or those of its budget.

    Paths in it are relative to `base`: without one to the file's folder, or to where the program runs.
    """
    from ullage.planning.planner import make_plan

    if isinstance(workload, str | Path):
        base = Path(workload).parent if base is None else base
    if isinstance(workload, str | Path | Mapping):
        workload = load(workload)
    chosen = gpu_set(workload, gpus)
    models = models_of(workload, base)
    workload, warnings = settle(workload, chosen, models)
    found = make_plan(workload, estimate(workload, models, chosen), models, chosen, base or Path())
    given = _advice(workload, models, chosen) if advice else ()
    asked = gpus or workload.budget.gpus or ""
    return replace(found, asked=asked, warnings=warnings, advice=given)


def models_of(workload: Workload, base: Path | None = None) -> dict[str, Model]:
    """The model behind each name the workload's local roles use, opened once."""
    from ullage.facts.model import open_model
    from ullage.phases.blocks import is_local

    names = dict.fromkeys(role.model for role in workload.roles.values() if is_local(role))
    return {name: open_model(name, base) for name in names}


def phases(workload: Workload) -> tuple[Phase, ...]:
    """How the workload's kind lays it out over time."""
    from ullage.workloads import single_model
    from ullage.workloads.registry import find_kind

    if workload.kind == single_model.name:
        return single_model.phases(workload)
    return find_kind(workload.kind).phases(workload)


def estimate(workload: Workload, models: Mapping[str, Model], gpus: GpuSet) -> Demand:
    """Every need of the workload, not yet placed."""
    from ullage.memory.estimate import estimate as estimate_phases
    from ullage.records.evidence import known_evidence

    ids = {gpu.id for gpu in gpus.gpus}
    overhead = known_evidence().overhead(ids.pop()) if len(ids) == 1 else None
    return estimate_phases(phases(workload), models, gpus.abilities, overhead)


def settle(workload: Workload, gpus: GpuSet, models: Mapping[str, Model]) -> tuple[Workload, tuple[str, ...]]:
    """The workload in the first of its roles' `fallback_precisions` that fits, and what that trades."""
    from ullage.planning.fallbacks import settle as settle_precisions

    return settle_precisions(
        workload, lambda candidate: outcome(candidate, models, gpus).verdict != "does not fit"
    )


def gpu_set(workload: Workload, gpus: str | None) -> GpuSet:
    """`gpus`, else the set the workload's budget names."""
    from ullage.facts.gpu_set import parse_gpu_set

    text = gpus or workload.budget.gpus
    if text is None:
        raise InputError("no GPUs: give --gpus 2xA100-80GB, or budget.gpus in the file")
    return parse_gpu_set(text)


def outcome(workload: Workload, models: Mapping[str, Model], gpus: GpuSet) -> Outcome:
    """The lean result of planning a candidate: verdict, peak, time and cost, no line items."""
    from ullage.planning.outcome import outcome_of

    return outcome_of(workload, estimate(workload, models, gpus), models, gpus)


def _advice(workload: Workload, models: Mapping[str, Model], gpus: GpuSet) -> tuple[Advice, ...]:
    from ullage.planning.advice import advise
    from ullage.spec.changes import apply_changes

    def evaluate(candidate: Workload, candidate_gpus: GpuSet) -> Outcome:
        return outcome(candidate, models, candidate_gpus)

    return advise(workload, gpus, evaluate(workload, gpus), evaluate, apply_changes)
