"""How it is known what each pass of a workload takes: by a formula, or by a trace of the model's own code."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, Literal, NamedTuple

from ullage.errors import InputError, UnsupportedError
from ullage.facts.architecture import Architecture
from ullage.memory.backward import check_backward
from ullage.memory.loaded import Loaded
from ullage.memory.proven import proof_of_pass
from ullage.memory.running import kernel_of
from ullage.memory.traced import Asked, Traced, Tracing
from ullage.phases.phase import TRAINING, Activity, Phase, Work
from ullage.spec.role import Role
from ullage.spec.workload import Fidelity

Key = tuple[str, Work]
"""A role and what it does."""
FORWARD: Final = ("prefill", "decode")


class Known(NamedTuple):
    """How one activity of a role is known, and why so; `proven` where that was held against the real code."""

    activity: Activity
    by: Literal["formula", "trace"]
    reason: str
    proven: bool = True


class Passes(NamedTuple):
    """What was traced, and by role how each activity is known."""

    traced: Mapping[Key, Traced]
    known: Mapping[str, tuple[Known, ...]]


def passes_of(
    phases: tuple[Phase, ...],
    held: Mapping[str, Loaded],
    roles: Mapping[str, Role],
    tracing: Tracing | None,
    cards: int,
) -> Passes:
    """What passes of roles in this process take where no formula is to say it. `cards` is how many there are.

    Raises UnsupportedError for a pass that has to be traced and is not, MissingExtraError where that takes
    torch and it is not installed.
    """
    traced: dict[Key, Traced] = {}
    known: dict[str, dict[Known, None]] = {}
    for name, asked in _asked(phases, held, roles):
        work = asked.work
        if (name, work) in traced:
            continue
        role, own = roles[name], held[name]
        if work.activity == "backward":
            check_backward(name, role, own)
        why = _untraced(role, own, work, cards)
        found = _way(name, asked, own, tracing, why)
        if isinstance(found, tuple):
            found, traced[name, work] = found
        known.setdefault(name, {})[found] = None
    return Passes(traced, {name: tuple(each) for name, each in known.items()})


def _way(
    name: str, asked: Asked, own: Loaded, tracing: Tracing | None, why: str
) -> Known | tuple[Known, Traced]:
    """How one pass is known, with the trace where it is one; `why` it is not traced, "" where it can be."""
    architecture, activity = own.architecture, asked.work.activity
    fidelity: Fidelity = "formula" if tracing is None else tracing.fidelity
    must = bool(architecture.counted) or activity == "backward"
    if must and fidelity == "formula" and activity != "backward":
        raise UnsupportedError(
            f"role {name}: {architecture.name}: no formula describes model_type {architecture.model_type!r}; "
            "use --fidelity auto or traced (memory.fidelity)"
        )
    if must or fidelity == "traced":
        if why:
            raise UnsupportedError(f"role {name}: {activity} is not traced with {why}{_else(must)}")
        assert tracing is not None
        reason = "as asked for" if fidelity == "traced" else _no_formula(architecture, activity)
        return _traced(asked, own, tracing, reason)
    proof = proof_of_pass(architecture, asked, None if tracing is None else tracing.transformers)
    proven = proof.standing == "proven" and not why
    said = f"{proof.standing}: {proof.why}" if not why else f"not proven with {why}"
    if proven or fidelity == "formula" or why or activity in TRAINING:
        return Known(activity, "formula", said, proven)
    assert tracing is not None
    try:
        return _traced(asked, own, tracing, f"its formula is {said}")
    except InputError as error:
        return Known(activity, "formula", f"{said}; {error}", proven=False)


def _else(must: bool) -> str:
    return ", and no formula says what it takes" if must else "; use --fidelity formula (memory.fidelity)"


def _no_formula(architecture: Architecture, activity: Activity) -> str:
    if architecture.counted:
        return f"no formula describes model_type {architecture.model_type}; {architecture.counted} counts it"
    return f"no formula says what {activity} takes"


def _traced(asked: Asked, own: Loaded, tracing: Tracing, reason: str) -> tuple[Known, Traced]:
    """Raises UnsupportedError for the trace of another model."""
    found = tracing.trace(asked)
    whole = own.numbered
    if found.parameters != whole.parameters:
        other = (
            f"transformers builds {whole.name} with {found.parameters:,} parameters, its description has "
            f"{whole.parameters:,}"
        )
        if asked.work.activity == "backward" or len(found.blocks) != len(whole.layers) + 2:
            raise UnsupportedError(f"{other}: what was traced is another model")
        reason = f"{reason}; {other}, by which its weights are counted"
    return Known(asked.work.activity, "trace", reason), found


def _asked(
    phases: Iterable[Phase], held: Mapping[str, Loaded], roles: Mapping[str, Role]
) -> Iterable[tuple[str, Asked]]:
    """Each pass of a language model in this process."""
    phases = tuple(phases)
    for phase in phases:
        name, work = phase.running, phase.work
        if name not in held or work.activity == "load":
            continue
        role, own = roles[name], held[name]
        if role.runs_with.memory != "process" or not isinstance(own.model, Architecture):
            continue
        kernel, _ = kernel_of(name, role, phases, own.whole)
        if role.attention == "auto" and kernel == "sdpa":
            kernel = "auto"  # a family that has no sdpa runs in what transformers takes instead
        precision = own.precision
        scheme = None if precision.scheme is None else precision.storage
        processor = own.abilities.processor
        yield name, Asked(role.model, precision.compute, kernel, work, processor, scheme)


def _untraced(role: Role, own: Loaded, work: Work, cards: int) -> str:
    """What of a role or its pass no trace has; "" where there is nothing of the kind."""
    checkpoint = own.architecture.checkpoint
    split = role.max_memory is not None or role.device_map is not None or cards > 1
    there = {
        "a GGUF file, which has no config.json": checkpoint is not None and checkpoint.format == "gguf",
        "code of its repository's own": role.trust_remote_code,
        "a stretched rope": role.rope is not None,
        "an adapter": own.architecture.adapter is not None,
        f"a {role.cache.kind} cache": role.cache.kind != "dynamic",
        "images": work.images > 0,
        "layers over several devices": work.activity in TRAINING and split,
        "attention: flash": role.attention == "flash",
        "the optimizer's step alone": work.activity == "update",
    }
    return next((what for what, holds in there.items() if holds), "")
