"""From phases and models to a `Demand`: which needs each role has in each phase."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ullage.errors import UnsupportedError
from ullage.facts.abilities import Abilities
from ullage.facts.architecture import Architecture, Model, Pipeline
from ullage.memory.demand import Demand, Need, RoleShape
from ullage.memory.process import Overhead, blas_need, context_need
from ullage.memory.resident import pipeline_weights, resident_needs
from ullage.memory.running import running_needs
from ullage.memory.weights.part import needed_part
from ullage.memory.weights.precision import ResolvedPrecision, resolve_precision
from ullage.phases.phase import Phase, Resident
from ullage.spec.installed import engines_that
from ullage.spec.role import Role
from ullage.units import parse_bytes

ALLOCATOR_ITEMS = frozenset({"rounding", "fragmentation"})
"""What torch's caching allocator adds on a GPU; a processor's tensors come from malloc."""


def estimate(
    phases: Iterable[Phase],
    models: Mapping[str, Model],
    abilities: Abilities,
    overhead: Overhead | None = None,
) -> Demand:
    """Every need of `phases`, unplaced.

    `models` maps the name a role's `model` field gives to what it is; `abilities` is what
    every GPU in question can do; `overhead` what a process was measured to take
    on such a GPU, where there is evidence. Raises UnsupportedError where a model and
    what is asked of it do not go together, SpecError for sites or windows a model lacks.
    """
    phases = tuple(phases)
    roles = _roles(phases)
    parts = {name: _part(name, phases, models[role.model]) for name, role in roles.items()}
    precisions = {
        name: resolve_precision(role, models[role.model], abilities) for name, role in roles.items()
    }
    for name, role in roles.items():
        _check(name, role, models[role.model], abilities)
    needs: list[Need] = []
    for phase in phases:
        if phase.running in roles:
            running = phase.running
            _check_training(running, precisions[running], phase, roles[running])
        needs += _phase_needs(phase, phases, models, parts, precisions, abilities, overhead)
    shapes = tuple(_shape(name, role, parts[name]) for name, role in sorted(roles.items()))
    return Demand(phases, shapes, tuple(needs), parts, precisions)


def _part(role: str, phases: tuple[Phase, ...], model: Model) -> Model:
    return needed_part(role, phases, model) if isinstance(model, Architecture) else model


def _roles(phases: tuple[Phase, ...]) -> dict[str, Role]:
    return {
        resident.name: resident.role
        for phase in phases
        for resident in phase.resident
        if resident.role.runs_with.local
    }


def _check(name: str, role: Role, model: Model, abilities: Abilities) -> None:
    """Raises UnsupportedError where a role asks for what its engine, model or card cannot do."""
    engine = role.runs_with
    if isinstance(model, Pipeline) and engine.memory != "pipeline":
        raise _pipeline(name, model)
    if not isinstance(model, Pipeline) and engine.memory == "pipeline":
        raise UnsupportedError(
            f"role {name}: {model.name} is no diffusion pipeline; do not use engine: {engine.name}"
        )
    if role.tensor_parallel > 1 and not engine.tensor_parallel:
        raise UnsupportedError(
            f"role {name}: engine {engine.name} splits no tensors; give a placement over several GPUs, which "
            f"splits the layers, or engine: {engines_that(lambda each: each.tensor_parallel)}"
        )
    precision = resolve_precision(role, model, abilities)
    if isinstance(model, Pipeline) and precision.scheme is not None:
        raise UnsupportedError(
            f"role {name}: pipelines are planned in fp32, fp16 and bf16; {precision.storage} is not described"
        )
    if engine.memory == "process" and role.cache.precision != "auto" and role.cache.kind != "quantized":
        raise UnsupportedError(
            f"role {name}: cache.precision {role.cache.precision} needs cache.kind: quantized"
        )
    if role.attention == "flash" and engine.memory == "process":
        _check_flash(name, precision, abilities)


def _check_flash(name: str, precision: ResolvedPrecision, abilities: Abilities) -> None:
    if precision.compute != "fp32" and abilities.flash:
        return
    number = abilities.capability
    here = abilities.what if number is None else f"{number[0]}.{number[1]}"
    raise UnsupportedError(
        f"role {name}: attention: flash needs 16-bit arithmetic and compute capability 8.0; here it is "
        f"{precision.compute} on {here}. Use attention: sdpa"
    )


def _check_training(name: str, precision: ResolvedPrecision, phase: Phase, role: Role) -> None:
    if phase.work.activity != "train":
        return
    if not role.runs_with.trains:
        able = engines_that(lambda engine: engine.trains)
        raise UnsupportedError(f"role {name}: a backward pass runs with engine: {able} alone")
    training = phase.work.training
    if precision.scheme is not None and (training is None or training.trainable_fraction == 1):
        raise UnsupportedError(
            f"role {name}: weights in {precision.storage} take no gradient; set training.trainable_fraction "
            "to the share that adapters add, or another precision"
        )


def _phase_needs(
    phase: Phase,
    phases: Sequence[Phase],
    models: Mapping[str, Model],
    parts: Mapping[str, Model],
    precisions: Mapping[str, ResolvedPrecision],
    abilities: Abilities,
    overhead: Overhead | None,
) -> list[Need]:
    local = [r for r in phase.resident if r.role.runs_with.local]
    needs: list[Need] = []
    in_process = False
    for resident in local:
        model, precision = parts[resident.name], precisions[resident.name]
        running = resident.name == phase.running
        if resident.role.runs_with.memory == "own cache":
            from ullage.memory.vllm.needs import serve_needs

            serves = [
                each for each in phases if each.running == resident.name and each.work.activity != "load"
            ]
            needs += serve_needs(resident, _language(resident, model), phase, serves, precision, abilities)
            continue
        in_process = in_process or resident.where == "device"
        if isinstance(model, Pipeline):
            needs += pipeline_weights(resident, model, phase, precision, running)
            continue
        needs += resident_needs(resident, model, phase.name, precision)
        if running:
            whole = _language(resident, models[resident.role.model])
            needs += running_needs(resident, model, phase, precision, whole, abilities.processor)
    if in_process and abilities.processor:
        needs = [need for need in needs if need.component not in ALLOCATOR_ITEMS]
    if in_process:
        needs.append(context_need(phase.name, abilities, overhead))
        if not abilities.processor and phase.work.activity != "load":
            needs.append(blas_need(phase.name, abilities))
    return needs


def _language(resident: Resident, model: Model) -> Architecture:
    if isinstance(model, Architecture):
        return model
    raise _pipeline(resident.name, model)


def _pipeline(role: str, model: Pipeline) -> UnsupportedError:
    able = engines_that(lambda engine: engine.memory == "pipeline")
    return UnsupportedError(f"role {role}: {model.name} is a diffusion pipeline; use engine: {able}")


def _shape(name: str, role: Role, model: Model) -> RoleShape:
    if isinstance(model, Pipeline):
        names = tuple(component.name for component in model.components)
    else:
        layers = tuple(f"layers.{index}" for index in range(len(model.layers)))
        names = ("embed_tokens", *layers, "norm+lm_head")
        if role.tensor_parallel > 1:
            from ullage.memory.vllm.sizes import check_ranks

            check_ranks(model, role.tensor_parallel)
    limits = tuple(
        (device if device in ("cpu", "disk") else f"gpu:{device}", parse_bytes(size))
        for device, size in (role.max_memory or {}).items()
    )
    splittable = role.runs_with.splits_layers
    return RoleShape(name, len(names), names, role.tensor_parallel, role.placement, limits, splittable)
