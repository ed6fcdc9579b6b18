"""What a workload needs: files, models, plans."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ullage.errors import InputError
from ullage.units import MIB

if TYPE_CHECKING:
    from ullage.facts.architecture import Model
    from ullage.facts.gpu import GpuSet
    from ullage.memory.demand import Demand
    from ullage.memory.process import Overhead
    from ullage.planning.advice import Outcome
    from ullage.planning.plan import Plan
    from ullage.records.observation import Here
    from ullage.spec.parse import Sections
    from ullage.spec.phase import Phase
    from ullage.spec.workload import Memory, Training, Workload


def load(path: str | Path, overrides: Sequence[str] = ()) -> Workload:
    """The workload in a file, with `path=value` overrides. Raises SpecError or InputError."""
    from ullage.spec.parse import parse_workload

    place = Path(path)
    try:
        if place.stat().st_size > 4_000_000:
            raise InputError(f"{path}: too large for a workload file")
        text = place.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text; is this a workload file?") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error
    return parse_workload(text, str(path), sections(), overrides)


def sections() -> Sections:
    """Each kind's own part of the file, loaded when asked for."""
    from ullage.workloads.registry import Sections as Installed

    return Installed()


def models_of(workload: Workload, base: Path | None = None) -> dict[str, Model]:
    """The model behind each name the workload's local roles use."""
    from ullage.facts.model import open_model

    return {
        role.model: open_model(role.model, base)
        for role in workload.roles.values()
        if role.engine not in ("openai", "scripted")
    }


def phases(workload: Workload) -> tuple[Phase, ...]:
    """How the workload's kind lays it out over time."""
    from ullage.workloads import bare
    from ullage.workloads.registry import find_kind

    kind = bare if workload.kind == bare.name else find_kind(workload.kind)
    return kind.phases(workload)


def estimate(
    workload: Workload, models: Mapping[str, Model], gpus: GpuSet, here: Here | None = None
) -> Demand:
    """Every need of the workload, not yet placed; `here` is the process that is to run it, if known."""
    from ullage.memory.estimate import estimate as estimate_phases

    overhead = _overhead(workload, gpus, here)
    return estimate_phases(phases(workload), models, gpus.capability, overhead)


def _overhead(workload: Workload, gpus: GpuSet, here: Here | None) -> Overhead | None:
    """What evidence says a process takes on `gpus` beside its tensors; None where there is nothing to say.

    Without the process itself, observations under the newest key of this card count.
    """
    from ullage.facts.gpu import CPU
    from ullage.memory.process import Overhead, grown, usual_overhead
    from ullage.records.evidence_file import known_evidence
    from ullage.records.observation import shape_of

    if len({gpu.id for gpu in gpus.gpus}) != 1:
        return None
    known = known_evidence()
    held = here.held if here is not None else 0
    usual = grown(held) if held else usual_overhead(gpus.capability == CPU)
    key = here.key if here is not None else known.newest(gpus.gpus[0].id)
    found = known.overhead(key, shape_of(workload), usual, held) if key is not None else None
    if found is None and held:
        found = Overhead(usual, "")
    if found is None or not held:
        return found
    return replace(found, source=f"{held / MIB:,.0f} MiB held before any model. {found.source}".rstrip(". "))


def plan(
    workload: Workload,
    gpus: str | None = None,
    *,
    base: Path | None = None,
    advice: bool = True,
    here: Here | None = None,
) -> Plan:
    """The plan of a workload on `gpus`, or on those of its budget; `here` is the process that will run it."""
    from ullage.planning.planner import make_plan
    from ullage.records.evidence_file import known_evidence

    chosen = gpu_set(workload, gpus)
    models = models_of(workload, base)
    workload, warnings = settle(workload, chosen, models, here)
    found = make_plan(workload, estimate(workload, models, chosen, here), models, chosen)
    damaged = known_evidence().warning
    found = replace(found, warnings=(*warnings, damaged) if damaged else warnings)
    if not advice:
        return found
    return replace(found, advice=_advice(workload, models, chosen))


def settle(
    workload: Workload, gpus: GpuSet, models: Mapping[str, Model], here: Here | None = None
) -> tuple[Workload, tuple[str, ...]]:
    """The workload in the first of its roles' `fallback_precisions` that fits, and what that trades."""
    from ullage.planning.settling import settle as settle_precisions

    return settle_precisions(
        workload, lambda candidate: outcome(candidate, models, gpus, here).verdict != "does not fit"
    )


def gpu_set(workload: Workload, gpus: str | None) -> GpuSet:
    """`gpus`, else the set the workload's budget names."""
    from ullage.facts.gpu import parse_gpu_set

    text = gpus or workload.budget.gpus
    if text is None:
        raise InputError("no GPUs: give --gpus 2xA100-80GB, or budget.gpus in the file")
    return parse_gpu_set(text)


def outcome(
    workload: Workload, models: Mapping[str, Model], gpus: GpuSet, here: Here | None = None
) -> Outcome:
    """The lean result of planning a candidate: verdict, peak, time and cost, no line items."""
    from ullage.planning.outcome import outcome_of

    return outcome_of(workload, estimate(workload, models, gpus, here), models, gpus)


def _advice(workload: Workload, models: Mapping[str, Model], gpus: GpuSet) -> Any:
    from ullage.planning.advice import advise
    from ullage.spec.changes import apply_changes

    def evaluate(candidate: Workload, candidate_gpus: GpuSet) -> Outcome:
        return outcome(candidate, models, candidate_gpus)

    return advise(workload, gpus, evaluate(workload, gpus), evaluate, apply_changes)


def estimate_model(
    model: str,
    gpus: str = "1xA100-80GB",
    *,
    base: Path | None = None,
    advice: bool = False,
    examples: int = 1000,
    **fields: Any,
) -> Plan:
    """The one-model question: load, prefill and decode of a role with `fields`, without a file."""
    return plan(bare_workload(model, examples, **fields), gpus, base=base, advice=advice)


def bare_workload(
    model: str,
    examples: int = 1000,
    *,
    train: str | None = None,
    gradient_checkpointing: bool = False,
    training: Training | None = None,
    memory: Memory | None = None,
    **fields: Any,
) -> Workload:
    """One role that loads, reads a prompt and generates, or trains; no reserve is kept, and its layers
    are split over all GPUs as transformers' `device_map="auto"` does.

    Raises InputError for a field a role does not have or a value it cannot take.
    """
    from pydantic import ValidationError

    from ullage.spec.budget import Budget
    from ullage.spec.role import Role
    from ullage.spec.workload import Memory, Training, Workload
    from ullage.workloads import bare

    try:
        role = Role(model=model, **({"placement": "balanced"} | fields))
        if train is not None:
            training = Training.model_validate({"optimizer": train})
    except ValidationError as error:
        lines = [f"{'.'.join(map(str, e['loc']))} is {e['input']!r}: {e['msg']}" for e in error.errors()]
        raise InputError("; ".join(lines)) from error
    return Workload(
        kind=bare.name,
        name=model,
        roles={"model": role},
        examples=examples,
        batch=role.batch or 1,
        prompt_tokens=1024 if role.prompt_tokens is None else role.prompt_tokens,
        new_tokens=0 if role.new_tokens is None else role.new_tokens,
        memory=memory or Memory(enable_gradient_checkpointing=gradient_checkpointing),
        training=training,
        budget=Budget(reserve="0%"),
    )


def gpus(workload: Workload, *, base: Path | None = None) -> list[tuple[GpuSet, Outcome]]:
    """Every priced GPU set that holds the workload, cheapest per 1000 examples first."""
    from ullage.planning.advice import fitting_sets

    models = models_of(workload, base)
    return fitting_sets(workload, lambda candidate, chosen: outcome(candidate, models, chosen))


def model(name: str, base: Path | None = None) -> Model:
    """A model by catalog name, folder, config.json or GGUF file."""
    from ullage.facts.model import open_model

    return open_model(name, base)


def sample(task: str, out: str | Path, split: str = "test", count: int = 100, seed: int = 0) -> Path:
    """Labelled examples of one task of the small world that `ullage:tiny` knows, as JSON lines in `out`.

    Raises InputError for a task or split that does not exist, or a file that cannot be written.
    """
    from ullage.records.atomic import write_text
    from ullage.tinyworld import json_lines

    if count < 1:
        raise InputError(f"count: {count} examples cannot be written; ask for 1 or more")
    path = Path(out)
    text = json_lines(task, split, count, seed)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, text)
    except OSError as error:
        raise InputError(f"{out}: cannot be written: {error.strerror or error}") from error
    return path


def schema() -> dict[str, Any]:
    """JSON Schema of the workload file."""
    from ullage.spec.schema import json_schema

    return json_schema(sections())
