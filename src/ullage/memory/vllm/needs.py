"""The needs of a role that vLLM serves."""

from __future__ import annotations

from collections.abc import Sequence

from ullage.memory.forward.window import prompt_of, seen_tokens
from ullage.memory.loaded import Loaded
from ullage.memory.needs import Basis, ItemKind, Level, Need
from ullage.memory.process import CUDA_CONTEXT
from ullage.memory.vllm.sizes import LEAST_TOKENS, Served
from ullage.phases.phase import Where, Work
from ullage.units import Interval


def serve_needs(
    loaded: Loaded, served: Served, where: Where, works: Sequence[Work], running: bool
) -> list[Need]:
    """One rank's needs: context, weights, graphs, profile, and its cache.

    The cache is made once, for the largest of the `works` in which the role runs, and is held throughout.
    """
    if where != "device":
        return []

    def need(
        component: ItemKind, each: Interval, level: Level = "live", note: str = "", basis: Basis = "derived"
    ) -> Need:
        return Need(component, (0,), each, basis, "sum", level, note=note)

    sizes, (basis, said) = served.sizes, loaded.context
    known: Basis = "derived" if basis == "measured" else basis
    needs = [need("weights", sizes.weights), need("context", CUDA_CONTEXT, "process", said, known)]
    if sizes.draft.high:
        needs.append(need("weights", sizes.draft, note="writes drafts"))
    caches = [_cache(loaded, served, work) for work in works]
    held, sequences = max(caches, default=(0, 0))
    activations, outside, rest = sizes.activations, sizes.non_torch, 0
    if served.share is not None and sizes.token_bytes:
        # The engine takes all of its share: what is more of one thing is less of the cache beside it.
        activations, outside = _at_most_expected(activations), _at_most_expected(outside)
        beside = sizes.weights + sizes.draft + activations + outside
        rest = served.share.expected - beside.high - held
        rest -= sizes.cuda_graphs.expected if sizes.graphs_shared else 0
        rest -= CUDA_CONTEXT.high + sizes.nccl.high if sizes.process_shared else 0
    needs.append(need("context", outside, "process", "kernels and libraries outside torch"))
    if served.ranks > 1:
        needs.append(need("nccl", sizes.nccl, "process"))
    if held:
        needs.append(need("kv_cache", Interval.exactly(held), note=f"{sequences} sequences"))
    if rest > 0:
        free = Interval.exactly(rest)
        needs.append(need("kv_cache", free, "reserved", "free blocks: the rest of the engine's share"))
    # Segments of them stay with the engine's allocator while it rests.
    needs.append(need("activations", activations, "live" if running else "reserved", "start-up profile"))
    needs.append(need("cuda_graphs", sizes.cuda_graphs, "reserved"))
    return needs


def _at_most_expected(size: Interval) -> Interval:
    return Interval(size.low, size.expected, size.expected)


def work_cache(loaded: Loaded, served: Served, works: Sequence[Work]) -> int:
    """Bytes of cache that the largest of the `works` takes."""
    return max((_cache(loaded, served, work)[0] for work in works), default=0)


def longest_sequence(work: Work, prompt: int, limit: int | None) -> int:
    """Tokens of the longest sequence of a work whose prompts have `prompt` new ones.

    Behind a prompt that is only weighed there is room for LEAST_TOKENS, as far as the window goes.
    """
    reached = work.cached_tokens + prompt + work.new_tokens
    room = work.cached_tokens + prompt + LEAST_TOKENS
    return max(reached, room if limit is None else min(room, limit))


def _cache(loaded: Loaded, served: Served, work: Work) -> tuple[int, int]:
    """Bytes that `batch` sequences of prompt and new tokens fill, and how many sequences.

    vLLM keeps one block of its cache empty (vllm/v1/core/block_pool.py).
    """
    sequences = min(work.batch, served.sequences)
    limits = [each for each in (loaded.architecture.max_positions, served.window) if each is not None]
    longest = longest_sequence(work, prompt_of(loaded, work), min(limits, default=None))
    tokens = seen_tokens(loaded, work, longest - work.cached_tokens)
    sizes, block = served.sizes, served.block
    held = sequences * sizes.blocks_bytes(tokens, block) + block * sizes.token_bytes
    return held + sequences * sizes.sequence_bytes, sequences
