"""One pass of a workload, traced and replayed on the card that it is planned for."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ullage.errors import InputError, MissingExtraError, UnsupportedError, nearest
from ullage.facts.architecture import Architecture
from ullage.memory.traced import Asked
from ullage.phases.phase import Phase

if TYPE_CHECKING:
    from ullage.facts.gpu import Gpu
    from ullage.memory.allocator.settings import Settings
    from ullage.memory.timeline import Timeline
    from ullage.planning.plan import Plan
    from ullage.planning.role_plan import RolePlan
    from ullage.spec.role import Role
    from ullage.tracing.trace import Trace

TRACED: Final = ("prefill", "decode", "backward", "train")
"""Activities whose code runs on fake tensors."""
OTHERS: Final = {
    "load": "loading is no pass; its weights stand at the beginning of every other phase",
    "update": "the optimizer's step runs no model: its bytes are in ullage plan; the pass before it is train",
    "denoise": "a diffusion pipeline is not traced: its bytes are in ullage plan",
    "serve": "the engine's own process is not traced: its bytes are in ullage plan",
}


def trace_plan(plan: Plan, role: str | None, phase: str | None, base: Path | None = None) -> Timeline:
    """What is alive and reserved while `role` does `phase`: without them the fullest one that can be traced.

    Raises InputError for a role or phase that the plan has not, UnsupportedError for what is not traced, with
    the reason, MissingExtraError without torch.
    """
    chosen = _chosen(plan, role, phase)
    name = chosen.running
    asked_of, planned = plan.workload.roles[name], plan.roles[name]
    places = list(dict.fromkeys(planned.placement.device_map.values()))
    card = next((gpu for at, gpu in _cards(plan).items() if at in places), None)
    if card is None:
        raise UnsupportedError(f"role {name}: is on {', '.join(places)}, where nothing is traced")
    try:
        from ullage.tracing.passes import trace_pass
        from ullage.tracing.timelines import replayed
    except ImportError as error:
        raise MissingExtraError(error.name or "torch", "run", "tracing") from error
    trace = _with_stored(trace_pass(_asked(asked_of, planned, chosen, card), base), plan, name)
    processor = card.abilities.processor
    settings = None if processor else _settings(plan)
    alone = len(places) == 1
    capacity = _capacity(plan, places[0], name, chosen.name) if alone and not processor else None
    workspace = 0 if processor else card.abilities.blas.expected
    found = replayed(trace, settings, capacity, workspace)
    from ullage.memory.timeline import Timeline

    return Timeline(
        asked_of.model,
        name,
        chosen.name,
        f"{places[0]} ({card.id})",
        capacity,
        _said(settings),
        trace.stages,
        *found,
        tuple(_notes(plan, chosen, places)),
    )


def _chosen(plan: Plan, role: str | None, phase: str | None) -> Phase:
    if role is not None and role not in plan.workload.roles:
        known = ", ".join(nearest(role, plan.workload.roles) or plan.workload.roles)
        raise InputError(f"role {role}: the workload has none; it has {known}")
    if role is not None and not any(each.running == role for each in plan.phases):
        engine = plan.workload.roles[role].engine
        raise UnsupportedError(f"role {role}: runs with engine {engine}, which is not traced")
    own = [each for each in plan.phases if role in (None, each.running)]
    if phase is not None:
        named = [each for each in own if phase in (each.name, each.activity, each.verb)]
        if not named:
            raise InputError(
                f"phase {phase}: there is none; there are {', '.join(each.name for each in own)}"
            )
        own = named
    able = [each for each in own if _why_not(plan, each) is None]
    if not able:
        first = next((each for each in own if each.activity != "load"), own[0])
        raise UnsupportedError(f"phase {first.name}: {_why_not(plan, first)}")
    return max(able, key=lambda each: _live(plan, each))


def _why_not(plan: Plan, phase: Phase) -> str | None:
    if phase.activity not in TRACED:
        return OTHERS[phase.activity]
    planned = plan.roles.get(phase.running)
    role = plan.workload.roles[phase.running]
    if planned is None or role.runs_with.memory != "process":
        return f"engine {role.engine} runs it, which is not traced"
    if role.model.endswith(".gguf"):
        return f"{role.model} is a GGUF file, which has no config.json to trace by"
    if role.trust_remote_code:
        return f"{role.model} runs code of its repository's own, which is not traced"
    return None


def _live(plan: Plan, phase: Phase) -> int:
    return max(
        (each[phase.name].live.expected for each in plan.bill.totals.values() if phase.name in each),
        default=0,
    )


def _cards(plan: Plan) -> dict[str, Gpu]:
    return dict(zip(plan.gpus.device_names, plan.gpus.gpus, strict=True))


def _asked(role: Role, planned: RolePlan, phase: Phase, card: Gpu) -> Asked:
    kernel = planned.kernel.name
    if role.attention == "auto" and kernel == "sdpa":
        kernel = "auto"  # a family that has no sdpa runs in what transformers takes instead
    precision = planned.precision
    scheme = None if precision.scheme is None else precision.storage
    return Asked(role.model, precision.compute, kernel, phase.work, card.abilities.processor, scheme)


def _with_stored(trace: Trace, plan: Plan, role: str) -> Trace:
    """Where weights are quantized the trace has them in 16 bits: as they are stored instead, and adapters."""
    precision, model = plan.roles[role].precision, plan.models[plan.workload.roles[role].model]
    if precision.scheme is None or not isinstance(model, Architecture):
        return trace
    from ullage.memory.weights.tensors import named_tensors
    from ullage.tracing.storages import Made

    stored = named_tensors(model, precision)
    adapters = [
        (each, size)
        for each, size in zip(trace.loaded, trace.weights, strict=True)
        if ".lora_" in each.module
    ]
    loaded = [Made(name, "load", (size,), precision.storage, "weights") for name, size in stored]
    return replace(
        trace,
        weights=(*(size for _, size in stored), *(size for _, size in adapters)),
        loaded=(*loaded, *(each for each, _ in adapters)),
    )


def _settings(plan: Plan) -> Settings:
    """The allocator's, of this process's environment and of the file."""
    from ullage.memory.allocator.settings import settings_of

    found = settings_of(os.environ)
    return replace(found, expandable=True) if plan.workload.memory.expandable_segments else found


def _said(settings: Settings | None) -> str:
    """What differs from torch's defaults."""
    from ullage.memory.allocator.settings import Settings

    if settings is None:
        return "malloc"
    own = ((each.name, getattr(settings, each.name), each.default) for each in fields(Settings))
    return ", ".join(f"{name} {value}" for name, value, usual in own if value != usual) or "torch's defaults"


def _capacity(plan: Plan, device: str, role: str, phase: str) -> int | None:
    """What is left on a device for segments of this role: without the process, and without other roles."""
    usable = next((each.usable for each in plan.devices if each.name == device), None)
    found = plan.bill.totals.get(device, {}).get(phase)
    if usable is None or found is None:
        return usable
    others = sum(
        item.bytes.expected
        for item in plan.bill.items
        if (item.device, item.phase) == (device, phase)
        and item.role not in (role, "")
        and item.level in ("live", "reserved")
    )
    return max(usable - others - (found.process.expected - found.reserved.expected), 0)


def _notes(plan: Plan, phase: Phase, places: list[str]) -> Iterator[str]:
    if len(places) > 1:
        yield f"its blocks are on {', '.join(places)}: shown is the pass as if one device held them all"
    beside = [name for name in phase.on_device() if name != phase.running]
    if beside:
        verb = "is" if len(beside) == 1 else "are"
        yield f"{', '.join(beside)} {verb} on the device too, and not shown"
    if phase.activity == "decode":
        yield "of a long reply the first steps are traced, and the last"
