"""How much of a card an engine with its own cache is given, and how many tokens its cache then holds."""

from __future__ import annotations

import math

from ullage.errors import InputError
from ullage.facts.architecture import Architecture
from ullage.facts.gpu import GpuSet
from ullage.memory.vllm.sizes import DEFAULT_UTILIZATION, cache_tokens, serving
from ullage.memory.weights.precision import resolve_precision
from ullage.planning.bill import Bill
from ullage.planning.device import Device
from ullage.planning.plan import EngineShare
from ullage.spec.role import Role


def share_of(
    name: str, role: Role, model: Architecture, bill: Bill, devices: tuple[Device, ...], gpus: GpuSet
) -> EngineShare:
    """The least `gpu_memory_utilization` that holds the high values of the work of a role whose
    engine sizes its own cache, and the tokens that
    cache holds at the share the file gives (vLLM's default where it gives none).

    Raises InputError where the file gives less than the least.
    """
    device_name, high = _most(bill, name)
    total = next(device.gpu.usable for device in devices if device.name == device_name)
    least = math.ceil(100 * high / total.low) / 100
    own = role.settings.own_cache()
    given = own.gpu_memory_utilization
    if given is not None and given < least <= 1:
        raise InputError(
            f"role {name}: {role.engine}.gpu_memory_utilization {given:g} is too little; it takes {least:.2f}"
        )
    share = given or DEFAULT_UTILIZATION
    precision = resolve_precision(role, model, gpus.abilities)
    sizes = serving(model, role, precision, gpus.abilities)
    return EngineShare(least, share, cache_tokens(sizes, total.expected, share, own.block_size))


def _most(bill: Bill, name: str) -> tuple[str, int]:
    """The device on which the role takes most in a phase, and how much, high value."""
    used: dict[tuple[str, str], int] = {}
    for item in bill.items:
        if item.role == name:
            key = (item.device, item.phase)
            used[key] = used.get(key, 0) + item.bytes.high
    (device, _), high = max(used.items(), key=lambda pair: pair[1])
    return device, high
