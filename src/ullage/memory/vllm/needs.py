"""The needs of a role that vLLM serves."""

from __future__ import annotations

from collections.abc import Sequence

from ullage.facts.architecture import Architecture
from ullage.memory.demand import ItemKind, Level, Need
from ullage.memory.forward.window import prompt_of, seen_tokens
from ullage.memory.process import CUDA_CONTEXT, NCCL
from ullage.memory.vllm.sizes import LEAST_TOKENS, Serving, cache_block, scheduler_limits, serving
from ullage.memory.weights.precision import ResolvedPrecision
from ullage.phases.phase import Phase, Resident
from ullage.units import Interval


def serve_needs(
    resident: Resident,
    architecture: Architecture,
    phase: Phase,
    serves: Sequence[Phase],
    precision: ResolvedPrecision,
    capability: tuple[int, int],
) -> list[Need]:
    """One rank's needs in `phase`: context, weights, graphs, profile, and its cache.

    The cache is made once, for the largest of the phases `serves` in which the role runs, and is held in all.
    """
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
    caches = [_cache(resident, architecture, each, sizes, capability) for each in serves]
    if caches:
        held, sequences = max(caches)
        needs.append(need("kv_cache", Interval.exactly(held), note=f"{sequences} sequences"))
    if resident.name == phase.running:
        needs.append(need("activations", sizes.activations, note="start-up profile"))
    needs.append(need("cuda_graphs", sizes.cuda_graphs, "reserved"))
    return needs


def _cache(
    resident: Resident,
    architecture: Architecture,
    phase: Phase,
    sizes: Serving,
    capability: tuple[int, int],
) -> tuple[int, int]:
    """Bytes that `batch` sequences of prompt and new tokens fill, and how many sequences.

    vLLM keeps one block of its cache empty (vllm/v1/core/block_pool.py).
    """
    own, work = resident.role.settings.own_cache(), phase.work
    block = cache_block(own, capability)
    sequences = min(work.batch, scheduler_limits(own, capability)[0])
    prompt = prompt_of(resident, architecture, work)
    tokens = seen_tokens(resident, architecture, phase, prompt + max(work.new_tokens, LEAST_TOKENS))
    held = (sequences * -(-tokens // block) + 1) * block * sizes.token_bytes
    return held + sequences * sizes.sequence_bytes, sequences
