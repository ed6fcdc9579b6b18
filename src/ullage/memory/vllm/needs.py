"""The needs of a role that vLLM serves."""

from __future__ import annotations

from collections.abc import Sequence

from ullage.memory.forward.window import prompt_of, seen_tokens
from ullage.memory.loaded import Loaded
from ullage.memory.needs import Basis, ItemKind, Level, Need
from ullage.memory.process import CUDA_CONTEXT, NCCL, context_basis
from ullage.memory.vllm.sizes import LEAST_TOKENS, Served
from ullage.phases.phase import Where, Work
from ullage.units import Interval


def serve_needs(
    loaded: Loaded, served: Served, where: Where, works: Sequence[Work], running: bool
) -> list[Need]:
    """One rank's needs: context, weights, graphs, profile while it runs, and its cache.

    The cache is made once, for the largest of the `works` in which the role runs, and is held throughout.
    """
    if where != "device":
        return []

    def need(
        component: ItemKind, each: Interval, level: Level = "live", note: str = "", basis: Basis = "derived"
    ) -> Need:
        return Need(component, (0,), each, basis, "sum", level, note=note)

    sizes = served.sizes
    basis, said = context_basis(loaded.abilities)
    known: Basis = "derived" if basis == "measured" else basis
    needs = [need("weights", sizes.weights), need("context", CUDA_CONTEXT, "process", said, known)]
    needs.append(need("context", sizes.non_torch, "process", "kernels and libraries outside torch"))
    if served.ranks > 1:
        needs.append(need("nccl", NCCL, "process"))
    caches = [_cache(loaded, served, work) for work in works]
    if caches:
        held, sequences = max(caches)
        needs.append(need("kv_cache", Interval.exactly(held), note=f"{sequences} sequences"))
    if running:
        needs.append(need("activations", sizes.activations, note="start-up profile"))
    needs.append(need("cuda_graphs", sizes.cuda_graphs, "reserved"))
    return needs


def _cache(loaded: Loaded, served: Served, work: Work) -> tuple[int, int]:
    """Bytes that `batch` sequences of prompt and new tokens fill, and how many sequences.

    vLLM keeps one block of its cache empty (vllm/v1/core/block_pool.py).
    """
    sequences = min(work.batch, served.sequences)
    tokens = seen_tokens(loaded, work, prompt_of(loaded, work) + max(work.new_tokens, LEAST_TOKENS))
    held = (sequences * -(-tokens // served.block) + 1) * served.block * served.sizes.token_bytes
    return held + sequences * served.sizes.sequence_bytes, sequences
