"""Passes back for gradients of states: no formula says what they take, so each is traced."""

from __future__ import annotations

from ullage.errors import UnsupportedError
from ullage.memory.loaded import Loaded
from ullage.spec.installed import engines_that
from ullage.spec.role import Role


def check_backward(name: str, role: Role, held: Loaded) -> None:
    """Raises UnsupportedError for a backward pass that is not traced."""
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
