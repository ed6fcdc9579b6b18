"""How much of a card a vLLM engine is given, and how many tokens its cache then holds."""

from __future__ import annotations

import math
from collections.abc import Mapping

from ullage.errors import InputError
from ullage.facts.architecture import Architecture, Model
from ullage.facts.gpu import GpuSet
from ullage.memory.demand import Demand
from ullage.memory.vllm.sizes import DEFAULT_UTILIZATION, cache_tokens, serving
from ullage.memory.weights.precision import resolve_precision
from ullage.planning.bill import Bill
from ullage.planning.device import Device
from ullage.planning.plan import Decision, Plan
from ullage.spec.role import Role


def served_decisions(
    demand: Demand,
    models: Mapping[str, Model],
    bill: Bill,
    devices: tuple[Device, ...],
    gpus: GpuSet,
) -> tuple[Decision, ...]:
    """For each vLLM role: the least `gpu_memory_utilization` that holds the high values of its work,
    and the tokens its cache holds at the share the file gives (vLLM's default where it gives none)."""
    roles: dict[str, Role] = {
        resident.name: resident.role
        for phase in demand.phases
        for resident in phase.resident
        if resident.role.engine == "vllm"
    }
    found = []
    for name, role in roles.items():
        model = models[role.model]
        assert isinstance(model, Architecture)
        device_name, high = _most(bill, name)
        total = next(device.gpu.usable for device in devices if device.name == device_name)
        least = math.ceil(100 * high / total.low) / 100
        given = role.vllm.gpu_memory_utilization
        if given is not None and given < least <= 1:
            raise InputError(
                f"role {name}: vllm.gpu_memory_utilization {given:g} is too little; it takes {least:.2f}"
            )
        share = given or DEFAULT_UTILIZATION
        precision = resolve_precision(role, model, gpus.capability)
        sizes = serving(model, role, precision, gpus.capability)
        tokens = cache_tokens(sizes, total.expected, share, role.vllm.block_size)
        found.append(
            Decision(
                f"{name} gpu_memory_utilization",
                f"{least:.2f} is enough" if least <= 1 else "more than one card",
                f"at {share:.2f} the cache holds {tokens.expected:,} tokens "
                f"({tokens.low:,} to {tokens.high:,})",
            )
        )
    return tuple(found)


def share_of(plan: Plan, name: str) -> float:
    """The share of its card that vLLM role `name` is given: the least that holds its work as planned."""
    device, high = _most(plan.bill, name)
    cards = dict(zip(plan.gpus.device_names, plan.gpus.gpus, strict=True))
    return min(math.ceil(100 * high / cards[device].usable.low) / 100, 1.0)


def _most(bill: Bill, name: str) -> tuple[str, int]:
    """The device on which the role takes most in a phase, and how much, high value."""
    used: dict[tuple[str, str], int] = {}
    for item in bill.items:
        if item.role == name:
            key = (item.device, item.phase)
            used[key] = used.get(key, 0) + item.bytes.high
    (device, _), high = max(used.items(), key=lambda pair: pair[1])
    return device, high
