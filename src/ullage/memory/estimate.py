"""From phases and models to a `Demand`: which needs each role has in each phase."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ullage.errors import UnsupportedError
from ullage.facts.architecture import Architecture, Model, Pipeline
from ullage.facts.gpu import CPU
from ullage.memory.demand import Demand, Need, RoleShape
from ullage.memory.dtypes import ResolvedPrecision, resolve_precision
from ullage.memory.part import needed_part
from ullage.memory.process import Overhead, cublas_workspace, usual_overhead
from ullage.memory.resident import pipeline_weights, resident_needs
from ullage.memory.running import running_needs
from ullage.spec.phase import Phase, Resident
from ullage.spec.role import Role
from ullage.units import Interval, parse_bytes

FLASH_CAPABILITY = (8, 0)
"""FlashAttention-2 runs on Ampere and later (github.com/Dao-AILab/flash-attention)."""
ALLOCATOR_ITEMS = frozenset({"rounding", "fragmentation"})
"""What torch's caching allocator adds on a GPU; a processor's tensors come from malloc."""
REMOTE_ENGINES = frozenset({"openai", "scripted"})
"""Engines that hold no weights here."""


def estimate(
    phases: Iterable[Phase],
    models: Mapping[str, Model],
    capability: tuple[int, int] = (8, 0),
    overhead: Overhead | None = None,
) -> Demand:
    """Every need of `phases`, unplaced.

    `models` maps the name a role's `model` field gives to what it is; `capability` is the lowest
    CUDA compute capability among the GPUs in question; `overhead` what a process was measured to take
    on such a device, where there is evidence. Raises UnsupportedError where a model and
    what is asked of it do not go together, SpecError for sites or windows a model lacks.
    """
    phases = tuple(phases)
    roles = _roles(phases)
    parts = {name: _part(name, phases, models[role.model]) for name, role in roles.items()}
    precisions = {
        name: resolve_precision(role, models[role.model], capability) for name, role in roles.items()
    }
    for name, role in roles.items():
        _check(name, role, models[role.model], capability)
    needs: list[Need] = []
    for phase in phases:
        if phase.running in roles:
            running = phase.running
            _check_training(running, precisions[running], phase, roles[running])
        needs += _phase_needs(phase, phases, models, parts, precisions, capability, overhead)
    shapes = tuple(_shape(name, role, parts[name]) for name, role in sorted(roles.items()))
    notes = tuple(
        f"{name}: weights {precision.storage}, arithmetic {precision.compute}: {precision.reason}"
        for name, precision in precisions.items()
    )
    notes += tuple(
        f"{name}: only {_held(part)}: nothing after that is read"
        for name, part in parts.items()
        if part is not models[roles[name].model] and isinstance(part, Architecture)
    )
    return Demand(phases, shapes, tuple(needs), notes, parts)


def _part(role: str, phases: tuple[Phase, ...], model: Model) -> Model:
    return needed_part(role, phases, model) if isinstance(model, Architecture) else model


def _held(part: Architecture) -> str:
    return f"layers 0 to {len(part.layers) - 1} are loaded, and no output layer"


def _roles(phases: tuple[Phase, ...]) -> dict[str, Role]:
    return {
        resident.name: resident.role
        for phase in phases
        for resident in phase.resident
        if resident.role.engine not in REMOTE_ENGINES
    }


def _check(name: str, role: Role, model: Model, capability: tuple[int, int]) -> None:
    """Raises UnsupportedError where a role asks for what its engine, model or card cannot do."""
    if isinstance(model, Pipeline) != (role.engine == "diffusers"):
        what = (
            "a diffusion pipeline; use"
            if isinstance(model, Pipeline)
            else "no diffusion pipeline; do not use"
        )
        raise UnsupportedError(f"role {name}: {model.name} is {what} engine: diffusers")
    if role.tensor_parallel > 1 and role.engine != "vllm":
        raise UnsupportedError(
            f"role {name}: tensor_parallel is vLLM's; with engine {role.engine} give a placement over "
            "several GPUs, which splits the layers"
        )
    precision = resolve_precision(role, model, capability)
    if isinstance(model, Pipeline) and precision.storage not in ("fp32", "fp16", "bf16"):
        raise UnsupportedError(
            f"role {name}: pipelines are planned in fp32, fp16 and bf16; {precision.storage} is not described"
        )
    if role.engine == "transformers" and role.cache.precision != "auto" and role.cache.kind != "quantized":
        raise UnsupportedError(
            f"role {name}: cache.precision {role.cache.precision} needs cache.kind: quantized"
        )
    if role.attention == "flash" and role.engine == "transformers":
        number = f"{capability[0]}.{capability[1]}"
        if precision.compute == "fp32" or capability < FLASH_CAPABILITY:
            raise UnsupportedError(
                f"role {name}: attention: flash needs 16-bit arithmetic and compute capability 8.0; here "
                f"it is {precision.compute} on {number}. Use attention: sdpa"
            )


def _check_training(name: str, precision: ResolvedPrecision, phase: Phase, role: Role) -> None:
    if phase.work.activity != "train":
        return
    if role.engine != "transformers":
        raise UnsupportedError(f"role {name}: a backward pass runs with engine: transformers alone")
    training = phase.work.training
    if precision.storage not in ("fp32", "fp16", "bf16") and (
        training is None or training.trainable_fraction == 1
    ):
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
    capability: tuple[int, int],
    overhead: Overhead | None,
) -> list[Need]:
    local = [r for r in phase.resident if r.role.engine not in REMOTE_ENGINES]
    needs: list[Need] = []
    in_process = False
    for resident in local:
        model, precision = parts[resident.name], precisions[resident.name]
        running = resident.name == phase.running
        if resident.role.engine == "vllm":
            from ullage.memory.serve import serve_needs

            serves = [
                each for each in phases if each.running == resident.name and each.work.activity != "load"
            ]
            needs += serve_needs(resident, _language(resident, model), phase, serves, precision, capability)
            continue
        in_process = in_process or resident.where == "device"
        if isinstance(model, Pipeline):
            needs += pipeline_weights(resident, model, phase, precision, running)
            continue
        needs += resident_needs(resident, model, phase.name, precision)
        if running:
            whole = _language(resident, models[resident.role.model])
            needs += running_needs(resident, model, phase, precision, whole, capability == CPU)
    if in_process and capability == CPU:
        needs = [need for need in needs if need.component not in ALLOCATOR_ITEMS]
        needs.append(_context(phase.name, overhead, usual_overhead(processor=True)))
    elif in_process:
        needs.append(_context(phase.name, overhead, usual_overhead(processor=False)))
        if phase.work.activity != "load":
            workspace = cublas_workspace(capability)
            needs.append(Need("", "workspace", phase.name, (), workspace, "derived", "once", note="cuBLAS"))
    return needs


def _context(phase: str, overhead: Overhead | None, usual: Interval) -> Need:
    each, note = (usual, "") if overhead is None else (overhead.bytes, overhead.source)
    return Need("", "context", phase, (), each, "measured", "once", "process", note=note)


def _language(resident: Resident, model: Model) -> Architecture:
    if isinstance(model, Architecture):
        return model
    raise UnsupportedError(
        f"role {resident.name}: {model.name} is a diffusion pipeline; use engine: diffusers"
    )


def _shape(name: str, role: Role, model: Model) -> RoleShape:
    if isinstance(model, Pipeline):
        names = tuple(component.name for component in model.components)
    else:
        layers = tuple(f"layers.{index}" for index in range(len(model.layers)))
        names = ("embed_tokens", *layers, "norm+lm_head")
        if role.tensor_parallel > 1:
            from ullage.memory.serving import check_ranks

            check_ranks(model, role.tensor_parallel)
    limits = tuple(
        (device if device in ("cpu", "disk") else f"gpu:{device}", parse_bytes(size))
        for device, size in (role.max_memory or {}).items()
    )
    splittable = role.engine != "vllm" and not isinstance(model, Pipeline)
    return RoleShape(name, len(names), names, role.tensor_parallel, role.placement, limits, splittable)
