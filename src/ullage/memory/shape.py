"""What placement has to know of a role: its blocks, and where they may be."""

from __future__ import annotations

from functools import lru_cache

from ullage.errors import SpecError
from ullage.facts.architecture import Architecture, Model
from ullage.facts.diffusion import Pipeline
from ullage.memory.demand import Quantized, RoleShape
from ullage.memory.loaded import Loaded
from ullage.memory.needs import RECENT
from ullage.spec.device_map import block_devices
from ullage.spec.role import Role
from ullage.units import parse_bytes


@lru_cache(maxsize=RECENT)
def shape_of(name: str, role: Role, held: Loaded, whole: bool) -> RoleShape:
    """`whole` where all blocks must be on one GPU. Raises SpecError for a device map of another model."""
    model, scheme = held.model, held.precision.scheme
    names = _block_names(model)
    if role.tensor_parallel > 1 and isinstance(model, Architecture):
        from ullage.memory.vllm.ranks import check_ranks

        check_ranks(model, role.tensor_parallel)
    limits = tuple(
        (device if device in ("cpu", "disk") else f"gpu:{device}", parse_bytes(size))
        for device, size in (role.max_memory or {}).items()
    )
    splittable = role.runs_with.splits_layers and not whole
    bound = None
    if scheme is not None:
        own = role.runs_with.memory == "process"
        least = scheme.least_capability if own else scheme.least_in_vllm
        stays = own and not (scheme.offloads or held.precision.keeps_waiting)
        bound = Quantized(scheme.name, least, not stays)
    wishes = role.placement, limits, splittable, bound, _places(name, role, held)
    return RoleShape(name, len(names), names, role.tensor_parallel, *wishes)


def _places(name: str, role: Role, held: Loaded) -> tuple[str, ...]:
    """Where the role's own map puts the blocks that are loaded. Raises SpecError for another model's."""
    if role.device_map is None:
        return ()
    found, wrong = block_devices(role.device_map, held.whole)
    if wrong:
        within = (f"device_map: {each.module}" if each.module else "device_map" for each in wrong)
        raise SpecError(
            [f"role {name}: {at}: {each.problem}" for at, each in zip(within, wrong, strict=True)]
        )
    if isinstance(held.model, Architecture):
        return (*found[: len(held.model.layers) + 1], found[-1])
    return found


@lru_cache(maxsize=256)
def _block_names(model: Model) -> tuple[str, ...]:
    if isinstance(model, Pipeline):
        return tuple(component.name for component in model.components)
    layers = (f"layers.{index}" for index in range(len(model.layers)))
    return ("embed_tokens", *layers, "norm+lm_head")
