"""vLLM's memory: weights of one rank, what its start-up takes, and what is left for the KV cache.

Modelled on vLLM 0.19 (V1 engine); what other versions do otherwise stands in `startup.py`.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

from ullage.facts.abilities import Abilities
from ullage.facts.architecture import Architecture
from ullage.memory.forward.cache import recurrent_bytes
from ullage.memory.process import CUDA_CONTEXT
from ullage.memory.vllm.layers import Windowed, token_bytes, windows_of
from ullage.memory.vllm.ranks import check_ranks, rank_weights
from ullage.memory.vllm.startup import (
    GRAPHS_IN_SHARE,
    graph_bytes,
    graphs_in_share,
    nccl_bytes,
    non_torch_bytes,
    process_in_share,
    profile_bytes,
)
from ullage.memory.weights.precision import ResolvedPrecision, resolve_precision
from ullage.memory.weights.tensors import distinct_layers
from ullage.spec.engine import OwnCache
from ullage.spec.role import Cache, Role
from ullage.units import ZERO, Interval

DEFAULT_UTILIZATION: Final = 0.9
UTILIZATION_WITH_GRAPHS: Final = 0.92
"""vLLM's default where CUDA graphs come out of it too (vllm/config/cache.py)."""
CPU_BLOCK: Final = 32
LEAST_TOKENS: Final = 8
"""Room behind a prompt that is only weighed: vLLM writes one token at least, and is asked for a choice of
several tokens one after the other."""


@dataclass(frozen=True, slots=True)
class Serving:
    """What one rank of a vLLM engine takes, in bytes; `token_bytes` is one cached token's cost in all layers,
    `windows` are those of them that keep fewer tokens.

    `draft` are the weights of a model that writes drafts beside it, `nccl` what communicators take.
    `graphs_shared` says whether CUDA graphs are part of the engine's share of a card, None where its version
    does not tell; `process_shared` whether context and communicators are.
    """

    weights: Interval
    activations: Interval
    non_torch: Interval
    cuda_graphs: Interval
    token_bytes: int
    sequence_bytes: int
    windows: tuple[Windowed, ...] = ()
    draft: Interval = ZERO
    nccl: Interval = ZERO
    graphs_shared: bool | None = None
    process_shared: bool = False

    def blocks_bytes(self, tokens: int, block: int) -> int:
        """What the blocks of one sequence take. A window may begin inside of one, which is one more
        (vllm/v1/kv_cache_interface.py, `SlidingWindowSpec.max_memory_usage_bytes`)."""
        whole = -(-tokens // block)
        spared = sum(each.bytes * max(whole - -(-each.tokens // block) - 1, 0) for each in self.windows)
        return block * (self.token_bytes * whole - spared)

    @property
    def in_share(self) -> Interval:
        """What surely comes out of the engine's share of a card, beside its cache."""
        found = self.weights + self.draft + self.activations + self.non_torch
        if self.process_shared:
            found += CUDA_CONTEXT + self.nccl
        return found + self.cuda_graphs if self.graphs_shared else found

    @property
    def outside(self) -> Interval:
        """What the engine may take of a card outside its share of it."""
        process = ZERO if self.process_shared else CUDA_CONTEXT + self.nccl
        return process if self.graphs_shared else process + self.cuda_graphs

    @property
    def beside_cache(self) -> Interval:
        """What vLLM subtracts from its share before it sizes the KV cache; CUDA graphs are in the high value
        alone where it is not known whether they are."""
        maybe = self.cuda_graphs.high if self.graphs_shared is None else 0
        return self.in_share + Interval(0, 0, maybe)


@dataclass(frozen=True, slots=True)
class Served:
    """How an engine serves a role: what one of its `ranks` takes, the sequences at once, how many tokens a
    block of its cache has, the longest sequence where the file bounds it, and the bytes of a card that it is
    given, where the file says."""

    engine: str
    sizes: Serving
    ranks: int
    sequences: int
    block: int
    window: int | None
    share: Interval | None


def scheduler_limits(own: OwnCache, abilities: Abilities) -> tuple[int, int]:
    """(max_num_seqs, max_num_batched_tokens): the file's, else vLLM's defaults for `LLM(...)`.

    Source: vllm/engine/arg_utils.py `get_batch_defaults`: 1024 and 16384 on large cards, 256 and 8192 on
    others. A large workstation card is undercounted unless the file names the limits. By default no more
    sequences than tokens are taken in a step.
    """
    tokens = own.max_num_batched_tokens or (16384 if abilities.large else 8192)
    return own.max_num_seqs or min(1024 if abilities.large else 256, tokens), tokens


def cache_block(own: OwnCache, abilities: Abilities) -> int:
    """Tokens of a block of the cache: the file's, on a processor the next multiple of 32, which its attention
    takes (vllm/v1/attention/backends/cpu_attn.py)."""
    block = own.block_size
    return -(-block // CPU_BLOCK) * CPU_BLOCK if abilities.processor else block


def usual_share(own: OwnCache) -> float:
    """vLLM's own `gpu_memory_utilization` where the file gives none."""
    new = own.version is not None and own.version >= GRAPHS_IN_SHARE
    return UTILIZATION_WITH_GRAPHS if new else DEFAULT_UTILIZATION


def served(
    architecture: Architecture,
    role: Role,
    precision: ResolvedPrecision,
    abilities: Abilities,
    draft: Architecture | None = None,
    card: Interval | None = None,
) -> Served:
    """What such an engine makes of a role on a `card` of so many usable bytes, with what its `draft` takes.

    Raises UnsupportedError as `serving` does.
    """
    own = role.settings.own_cache()
    share = None
    if own.gpu_memory_utilization is not None and card is not None and not abilities.processor:
        share = Interval(*(int(size * own.gpu_memory_utilization) for size in card))
    return Served(
        role.engine,
        serving(architecture, role, precision, abilities, draft),
        role.tensor_parallel,
        scheduler_limits(own, abilities)[0],
        cache_block(own, abilities),
        own.max_model_len,
        share,
    )


def serving(
    architecture: Architecture,
    role: Role,
    precision: ResolvedPrecision,
    abilities: Abilities,
    draft: Architecture | None = None,
) -> Serving:
    """The memory of one rank, and on it of the model that writes drafts.

    Raises UnsupportedError when a model cannot be split over the role's `tensor_parallel`.
    """
    own, ranks = role.settings.own_cache(), role.tensor_parallel
    found = _serving(architecture, ranks, own, role.cache, precision, abilities)
    if draft is None:
        return found
    stored = resolve_precision(role.model_copy(update={"precision": "auto"}), draft, abilities)
    beside = _serving(draft, own.draft_ranks or ranks, own, role.cache, stored, abilities)
    return replace(
        found,
        activations=Interval(*map(max, found.activations, beside.activations)),
        cuda_graphs=found.cuda_graphs + beside.cuda_graphs,
        token_bytes=found.token_bytes + beside.token_bytes,
        sequence_bytes=found.sequence_bytes + beside.sequence_bytes,
        windows=found.windows + beside.windows,
        draft=beside.weights,
    )


@lru_cache(maxsize=1024)
def _serving(
    architecture: Architecture,
    ranks: int,
    own: OwnCache,
    cache: Cache,
    precision: ResolvedPrecision,
    abilities: Abilities,
) -> Serving:
    check_ranks(architecture, ranks)
    limits, width = scheduler_limits(own, abilities), precision.element_bytes
    weights = rank_weights(architecture, precision, ranks)
    return Serving(
        Interval(weights * 99 // 100, weights, weights * 1015 // 1000),
        profile_bytes(architecture, own, abilities, limits, ranks, width),
        non_torch_bytes(own, abilities, ranks),
        graph_bytes(own, abilities, limits[0], len(architecture.layers)),
        token_bytes(architecture, ranks, cache, precision),
        sum(
            recurrent_bytes(layer.recurrent, precision.element_bytes) * len(blocks)
            for layer, blocks in distinct_layers(architecture)
            if layer.recurrent is not None
        )
        // ranks,
        windows_of(architecture, ranks, own, cache, precision, limits[1]),
        nccl=nccl_bytes(own, abilities, ranks),
        graphs_shared=graphs_in_share(own),
        process_shared=process_in_share(own),
    )


def cache_tokens(serving: Serving, total_bytes: int, utilization: float, block: int) -> Interval:
    """How many tokens of one sequence fit the cache of a card of `total_bytes`; low answers the high memory
    use."""
    logged = logged_tokens(serving, total_bytes, utilization, block)
    if sum(each.bytes for each in serving.windows) in (0, serving.token_bytes):
        return logged

    def longest(tokens: int) -> int:
        room, most = serving.token_bytes * tokens, total_bytes // block
        fits = bisect_right(range(most), room, key=lambda blocks: serving.blocks_bytes(blocks * block, block))
        return max(fits - 1, 0) * block

    return Interval(*map(longest, logged))


def logged_tokens(serving: Serving, total_bytes: int, utilization: float, block: int) -> Interval:
    """The tokens that vLLM before 0.21 says at its start that this cache holds: as if each layer kept all."""
    share = int(total_bytes * utilization)
    sizes = serving.beside_cache

    def tokens(used: int) -> int:
        if serving.token_bytes == 0:
            return 0
        return max(share - used, 0) // (serving.token_bytes * block) * block

    return Interval(tokens(sizes.high), tokens(sizes.expected), tokens(sizes.low))
