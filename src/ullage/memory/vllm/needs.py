"""The needs of a role that vLLM serves."""

from __future__ import annotations

from collections.abc import Sequence

from ullage.facts.abilities import Abilities
from ullage.facts.architecture import Architecture
from ullage.memory.demand import Basis, ItemKind, Level, Need
from ullage.memory.forward.window import prompt_of, seen_tokens
from ullage.memory.process import CUDA_CONTEXT, NCCL, context_basis
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
    abilities: Abilities,
) -> list[Need]:
    """One rank's needs in `phase`: context, weights, graphs, profile, and its cache.

    The cache is made once, for the largest of the phases `serves` in which the role runs, and is held in all.
    """
    role = resident.role
    if resident.where != "device":
        return []
    sizes = serving(architecture, role, precision, abilities)

    def need(
        component: ItemKind, each: Interval, level: Level = "live", note: str = "", basis: Basis = "derived"
    ) -> Need:
        return Need(resident.name, component, phase.name, (0,), each, basis, "sum", level, note=note)

    basis, said = context_basis(abilities)
    known: Basis = "derived" if basis == "measured" else basis
    needs = [need("weights", sizes.weights), need("context", CUDA_CONTEXT, "process", said, known)]
    needs.append(need("context", sizes.non_torch, "process", "kernels and libraries outside torch"))
    if role.tensor_parallel > 1:
        needs.append(need("nccl", NCCL, "process"))
    caches = [_cache(resident, architecture, each, sizes, abilities) for each in serves]
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
    abilities: Abilities,
) -> tuple[int, int]:
    """Bytes that `batch` sequences of prompt and new tokens fill, and how many sequences.

    vLLM keeps one block of its cache empty (vllm/v1/core/block_pool.py).
    """
    own, work = resident.role.settings.own_cache(), phase.work
    block = cache_block(own, abilities)
    sequences = min(work.batch, scheduler_limits(own, abilities)[0])
    prompt = prompt_of(resident, architecture, work)
    tokens = seen_tokens(resident, architecture, phase, prompt + max(work.new_tokens, LEAST_TOKENS))
    held = (sequences * -(-tokens // block) + 1) * block * sizes.token_bytes
    return held + sequences * sizes.sequence_bytes, sequences
