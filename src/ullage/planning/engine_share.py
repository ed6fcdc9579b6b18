"""How much of a card an engine with its own cache is given, and how many tokens its cache then holds."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Final

from ullage.errors import InputError
from ullage.memory.demand import Demand
from ullage.memory.vllm.sizes import cache_tokens, usual_share
from ullage.phases.phase import Phase
from ullage.planning.device import Device
from ullage.planning.place import OnDevice
from ullage.planning.placement import Placement
from ullage.planning.role_plan import EngineShare
from ullage.spec.role import Role

ROUNDING: Final = 1e-9
"""Of shares that are added up."""


def check_shares(
    roles: Mapping[str, Role], demand: Demand, placement: Placement, devices: tuple[Device, ...]
) -> None:
    """Raises as `shares_of`, which refuses nothing where the file gives no share."""
    if any(roles[name].settings.own_cache().gpu_memory_utilization is not None for name in demand.served):
        shares_of(roles, demand, placement, devices)


def shares_of(
    roles: Mapping[str, Role], demand: Demand, placement: Placement, devices: tuple[Device, ...]
) -> dict[str, EngineShare]:
    """Of every role whose engine sizes its own cache. Raises InputError where the file gives one less than it
    takes, or several more than there is."""
    found = {name: share_of(name, roles[name], demand, placement, devices) for name in demand.served}
    _check_together(demand.phases, found, placement)
    return found


def share_of(
    name: str, role: Role, demand: Demand, placement: Placement, devices: tuple[Device, ...]
) -> EngineShare:
    """The least `gpu_memory_utilization` that holds the high values of the work of a role whose
    engine sizes its own cache, and the tokens that
    cache holds at the share the file gives (vLLM's default where it gives none).

    The context, and CUDA graphs of versions that do not count them, come on top. Raises InputError where the
    file gives less than the least.
    """
    served, cache = demand.served[name]
    sizes, own = served.sizes, role.settings.own_cache()
    totals = [devices[each.number].gpu.usable for each in placement[name].devices]
    total = min(totals, default=devices[0].gpu.usable)

    def share_with(beside: int) -> float:
        return math.ceil(100 * (beside + cache) / total.low) / 100

    least, given = share_with(sizes.in_share.high), own.gpu_memory_utilization
    if given is not None and given < least <= 1:
        usual = share_with(sizes.in_share.expected)
        said = f"is too little; it takes {least:.2f}"
        if given >= usual:
            said = f"may be too little: {usual:.2f} to {least:.2f} is what such starts have taken"
        raise InputError(f"role {name}: {role.engine}.gpu_memory_utilization {given:g} {said}")
    share = given or usual_share(own)
    tokens = cache_tokens(sizes, total.expected, share, own.block_size)
    graphs, beside = sizes.cuda_graphs.high / total.low, sizes.outside.high / total.low
    if given is None:  # graphs that may come out of the share are in it, and not beside it
        enough = share_with(sizes.beside_cache.high)
        beside -= graphs if enough > least else 0
        least = enough
    return EngineShare(least, share, tokens, graphs, beside, given is not None)


def _check_together(phases: Iterable[Phase], shares: Mapping[str, EngineShare], placement: Placement) -> None:
    """Raises InputError where roles that are on a card together are given more than all of it by the file:
    the last of them would not start."""
    if not any(share.stated for share in shares.values()):
        return
    for phase in phases:
        by_device: dict[OnDevice, dict[str, float]] = {}
        for name in phase.on_device():
            share = shares.get(name)
            if share is not None:
                for device in placement[name].devices:
                    taken = share.given if share.stated else share.taken
                    by_device.setdefault(device, {})[name] = taken
        for device, taken_by in by_device.items():
            written = any(shares[name].stated for name in taken_by)
            if written and len(taken_by) > 1 and sum(taken_by.values()) > 1 + ROUNDING:
                each = " and ".join(f"{name} {share:.2f}" for name, share in taken_by.items())
                raise InputError(
                    f"roles {', '.join(taken_by)}: their shares of gpu:{device.number} come to "
                    f"{sum(taken_by.values()):.2f} ({each}), and the last would not start; give "
                    "gpu_memory_utilization that comes to 1 at most, place them apart, or use schedule: "
                    "sequential"
                )
