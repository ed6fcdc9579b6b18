"""The needs of a role that vLLM serves."""

from __future__ import annotations

from ullage.facts.architecture import Architecture
from ullage.memory.demand import ItemKind, Level, Need
from ullage.memory.dtypes import ResolvedPrecision
from ullage.memory.process import CUDA_CONTEXT, NCCL
from ullage.memory.serving import scheduler_limits, serving
from ullage.memory.window import prompt_of, seen_tokens
from ullage.spec.phase import Phase, Resident
from ullage.units import Interval


def serve_needs(
    resident: Resident,
    architecture: Architecture,
    phase: Phase,
    precision: ResolvedPrecision,
    capability: tuple[int, int],
) -> list[Need]:
    """One rank's needs: its own process with context, weights, profile, graphs, and the cache that
    `batch` sequences of prompt and new tokens fill."""
    role = resident.role
    if resident.where != "device":
        return []
    sizes = serving(architecture, role, precision, capability)

    def need(component: ItemKind, each: Interval, level: Level = "live", note: str = "") -> Need:
        return Need(resident.name, component, phase.name, (0,), each, "derived", "sum", level, note=note)

    needs = [need("weights", sizes.weights), need("context", CUDA_CONTEXT, "process")]
    needs.append(need("context", sizes.non_torch, "process", "kernels and libraries outside torch"))
    if role.tensor_parallel > 1:
        needs.append(need("nccl", NCCL, "process"))
    if resident.name != phase.running or phase.work.activity == "load":
        return needs
    work = phase.work
    block = role.vllm.block_size
    sequences = min(work.batch, scheduler_limits(role, capability)[0])
    prompt = prompt_of(resident, architecture, work)
    tokens = seen_tokens(resident, architecture, phase, prompt + work.new_tokens)
    held = sequences * -(-tokens // block) * block * sizes.token_bytes
    state = sequences * sizes.sequence_bytes
    needs.append(need("kv_cache", Interval.exactly(held + state), note=f"{sequences} sequences"))
    needs.append(need("activations", sizes.activations, note="start-up profile"))
    needs.append(need("cuda_graphs", sizes.cuda_graphs, "reserved"))
    return needs
