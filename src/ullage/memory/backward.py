"""Passes back for gradients of states: no formula says what they take, so each is traced."""

from __future__ import annotations

from collections.abc import Mapping

from ullage.errors import UnsupportedError
from ullage.memory.loaded import Loaded
from ullage.memory.running import kernel_of
from ullage.memory.traced import Asked, Traced, Tracer
from ullage.phases.phase import Phase, Work
from ullage.spec.installed import engines_that
from ullage.spec.role import Role


def traced_passes(
    phases: tuple[Phase, ...],
    held: Mapping[str, Loaded],
    roles: Mapping[str, Role],
    tracer: Tracer | None,
) -> dict[Work, Traced]:
    """What each backward pass was traced to take. Raises UnsupportedError for what is not traced."""
    found = {}
    for phase in phases:
        work, name = phase.work, phase.running
        if work.activity != "backward" or name not in held:
            continue
        role, own = roles[name], held[name]
        _check(name, role, own)
        assert tracer is not None, "a backward pass is traced"
        kernel, _ = kernel_of(name, role, phases, own.whole)
        if role.attention == "auto" and kernel == "sdpa":
            kernel = "auto"  # a family that has no sdpa runs in what transformers takes instead
        asked = Asked(
            role.model,
            own.precision.compute,
            kernel,
            work,
            own.abilities.processor,
        )
        found[work] = tracer(asked)
        if found[work].parameters != own.architecture.parameters:
            raise UnsupportedError(
                f"role {name}: transformers builds {role.model} with {found[work].parameters:,} parameters, "
                f"its description has {own.architecture.parameters:,}: what was traced is another model"
            )
    return found


def _check(name: str, role: Role, held: Loaded) -> None:
    """Raises UnsupportedError for a backward pass that is neither proven nor traced."""
    if not role.runs_with.trains:
        able = engines_that(lambda engine: engine.trains)
        raise UnsupportedError(f"role {name}: a backward pass runs with engine: {able} alone")
    if held.precision.scheme is not None:
        raise UnsupportedError(
            f"role {name}: extract: backward: a pass back through weights in {held.precision.storage} is not "
            "traced; use precision: bf16 or fp32"
        )
    other = {
        "a stretched rope": role.rope is not None,
        "an adapter": held.architecture.adapter is not None,
        "code of its repository's own": role.trust_remote_code,
    }
    what = next((each for each, there in other.items() if there), None)
    if what is not None:
        raise UnsupportedError(
            f"role {name}: extract: backward: a pass back through a model with {what} is not traced; leave "
            "that out"
        )
    if (
        role.max_memory is not None
        or role.device_map is not None
        or isinstance(role.placement, tuple)
        or role.placement == "balanced"
    ):
        raise UnsupportedError(
            f"role {name}: extract: backward: is traced on one device; leave out max_memory, device_map "
            "and a placement over several"
        )
