"""vLLM's memory: weights of one rank, start-up profile, and what is left for the KV cache.

Modelled on vLLM 0.19 (V1 engine); its own start-up log is the measurement.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from ullage.errors import UnsupportedError
from ullage.facts.abilities import Abilities
from ullage.facts.architecture import (
    Architecture,
    Attention,
    Dense,
    Experts,
    LatentAttention,
    Weight,
)
from ullage.memory.forward.cache import cache_bits, latent_width, recurrent_bytes
from ullage.memory.weights.precision import ResolvedPrecision
from ullage.memory.weights.schemes import stored_tensors
from ullage.memory.weights.tensors import distinct_layers, embedding_weights, head_weights
from ullage.spec.engine import OwnCache
from ullage.spec.role import Cache, Role
from ullage.units import GIB, Interval

SAMPLER_BYTES: Final = 16
"""Bytes per vocabulary entry and sequence in the start-up profile's sampler: fp32 logits, sorted
values and int64 order (4 + 4 + 8). Meets 25 start-up logs with a mean error of 7 %."""
VOCABULARY_PADDING: Final = 64
NON_TORCH: Final = Interval(int(0.2 * GIB), int(0.25 * GIB), int(0.5 * GIB))
"""Growth outside torch during the profile run, one GPU (vLLM 0.19, H100: 0.24-0.46 GiB)."""
NON_TORCH_PARALLEL: Final = Interval(int(1.9 * GIB), int(2.1 * GIB), int(2.4 * GIB))
"""The same with tensor parallelism (2.06-2.21 GiB): NCCL and custom all-reduce buffers."""
CUDA_GRAPHS: Final = Interval(int(0.5 * GIB), int(0.9 * GIB), int(1.9 * GIB))
"""CUDA graph capture after the profile (0.5-1.85 GiB in the same logs)."""
DEFAULT_UTILIZATION: Final = 0.9
CPU_BLOCK: Final = 32
LEAST_TOKENS: Final = 8
"""Room behind a prompt that is only weighed: vLLM writes one token at least, and is asked for a choice of
several tokens one after the other."""


@dataclass(frozen=True, slots=True)
class Serving:
    """What one rank of a vLLM engine takes, in bytes; `token_bytes` is one cached token's cost."""

    weights: Interval
    activations: Interval
    non_torch: Interval
    cuda_graphs: Interval
    token_bytes: int
    sequence_bytes: int

    @property
    def beside_cache(self) -> Interval:
        """What vLLM subtracts from its share before it sizes the KV cache."""
        return self.weights + self.activations + self.non_torch


@dataclass(frozen=True, slots=True)
class Served:
    """How an engine serves a role: what one of its `ranks` takes, the sequences at once, how many tokens a
    block of its cache has, and the longest sequence where the file bounds it."""

    engine: str
    sizes: Serving
    ranks: int
    sequences: int
    block: int
    window: int | None


def scheduler_limits(own: OwnCache, abilities: Abilities) -> tuple[int, int]:
    """(max_num_seqs, max_num_batched_tokens): the file's, else vLLM's defaults for `LLM(...)`.

    Source: vllm/engine/arg_utils.py `get_batch_defaults`: 1024 and 16384 on large cards, 256 and 8192 on
    others. A large workstation card is undercounted unless the file names the limits.
    """
    return (
        own.max_num_seqs or (1024 if abilities.large else 256),
        own.max_num_batched_tokens or (16384 if abilities.large else 8192),
    )


def cache_block(own: OwnCache, abilities: Abilities) -> int:
    """Tokens of a block of the cache: the file's, on a processor the next multiple of 32, which its attention
    takes (vllm/v1/attention/backends/cpu_attn.py)."""
    block = own.block_size
    return -(-block // CPU_BLOCK) * CPU_BLOCK if abilities.processor else block


def check_ranks(architecture: Architecture, ranks: int) -> None:
    """Raises UnsupportedError when `ranks` cannot split the model's heads and widths."""
    if ranks == 1:
        return
    for layer, blocks in distinct_layers(architecture):
        problems = []
        if isinstance(layer.mixer, Attention | LatentAttention) and layer.mixer.heads % ranks:
            problems.append(f"{layer.mixer.heads} attention heads")
        if isinstance(layer.mixer, Attention):
            kv_heads = layer.mixer.kv_heads
            if kv_heads % ranks and ranks % kv_heads:
                problems.append(f"{kv_heads} key-value heads")
        if isinstance(layer.feed_forward, Dense) and layer.feed_forward.intermediate % ranks:
            problems.append(f"intermediate size {layer.feed_forward.intermediate}")
        if problems:
            raise UnsupportedError(
                f"{architecture.name} cannot run on tensor_parallel {ranks}: layer {blocks[0] - 1} "
                f"has {' and '.join(problems)}; choose a divisor of them"
            )


def served(
    architecture: Architecture, role: Role, precision: ResolvedPrecision, abilities: Abilities
) -> Served:
    """What such an engine makes of a role. Raises UnsupportedError as `serving` does."""
    own = role.settings.own_cache()
    return Served(
        role.engine,
        serving(architecture, role, precision, abilities),
        role.tensor_parallel,
        scheduler_limits(own, abilities)[0],
        cache_block(own, abilities),
        own.max_model_len,
    )


def serving(
    architecture: Architecture,
    role: Role,
    precision: ResolvedPrecision,
    abilities: Abilities,
) -> Serving:
    """The memory of one rank.

    Raises UnsupportedError when the model cannot be split over the role's `tensor_parallel`.
    """
    own = role.settings.own_cache()
    return _serving(architecture, role.tensor_parallel, own, role.cache, precision, abilities)


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
    sequences, tokens = scheduler_limits(own, abilities)
    vocabulary = -(-architecture.vocab_size // VOCABULARY_PADDING) * VOCABULARY_PADDING
    sampler = SAMPLER_BYTES * sequences * vocabulary
    forward = _profile_pass(architecture, tokens, ranks, precision)
    profile = max(sampler, forward)
    weights = _rank_weights(architecture, precision, ranks)
    parallel = ranks > 1
    nothing = Interval(0, 0, 0)
    return Serving(
        Interval(weights * 99 // 100, weights, weights * 1015 // 1000),
        Interval(profile * 9 // 10, profile, profile * 13 // 10 + GIB // 8),
        NON_TORCH_PARALLEL if parallel else NON_TORCH,
        nothing if own.enforce_eager or abilities.processor else CUDA_GRAPHS,
        token_bytes(architecture, ranks, cache, precision),
        sum(
            recurrent_bytes(layer.recurrent, precision.element_bytes) * len(blocks)
            for layer, blocks in distinct_layers(architecture)
            if layer.recurrent is not None
        )
        // ranks,
    )


def _rank_weights(architecture: Architecture, precision: ResolvedPrecision, ranks: int) -> int:
    """Linear layers, experts, embedding and head are split; norms, biases and routers are copied.

    The rotary table of every cached position (`cos_sin_cache`) belongs to the weights vLLM reports.
    """
    total = 0
    parts = [(layer.weights, len(blocks)) for layer, blocks in distinct_layers(architecture)]
    parts += [(embedding_weights(architecture), 1), (head_weights(architecture), 1)]
    for weights, count in parts:
        total += count * sum(_rank_bytes(weight, precision, ranks) for weight in weights)
    heads = [layer.mixer for layer, _ in distinct_layers(architecture) if isinstance(layer.mixer, Attention)]
    table = max((mixer.head_dim for mixer in heads), default=0) * precision.element_bytes
    return total + architecture.rotary_positions * table + _copied_heads(architecture, precision, ranks)


def _rank_bytes(weight: Weight, precision: ResolvedPrecision, ranks: int) -> int:
    size = sum(stored_tensors(weight, precision))
    if weight.role in ("embedding", "head") and len(weight.shape) == 2:
        rows = -(-weight.shape[0] // VOCABULARY_PADDING) * VOCABULARY_PADDING
        size = size * rows // max(weight.shape[0], 1)
    return -(-size // ranks) if weight.role in ("linear", "experts", "embedding", "head") else size


def _copied_heads(architecture: Architecture, precision: ResolvedPrecision, ranks: int) -> int:
    """Key and value projections that several ranks hold alike, having fewer heads than ranks."""
    extra = 0
    for layer, blocks in distinct_layers(architecture):
        mixer = layer.mixer
        if isinstance(mixer, Attention) and mixer.kv_heads < ranks:
            width = mixer.head_dim + mixer.value_dim
            copied = architecture.hidden_size * width * (ranks - mixer.kv_heads)
            extra += len(blocks) * copied * precision.element_bytes // ranks
    return extra


def _profile_pass(architecture: Architecture, tokens: int, ranks: int, precision: ResolvedPrecision) -> int:
    """The profile run's forward pass over `tokens` positions: four streams and the widest block."""
    widest = 0
    for layer, _ in distinct_layers(architecture):
        part = layer.feed_forward
        if isinstance(part, Dense):
            widest = max(widest, (3 if part.gated else 2) * part.intermediate // ranks)
        elif isinstance(part, Experts):
            routed = part.active * (
                3 * part.intermediate // ranks + (part.latent or architecture.hidden_size)
            )
            widest = max(widest, routed, 3 * part.shared_intermediate // ranks)
    return tokens * (4 * architecture.hidden_size + widest) * precision.element_bytes


def token_bytes(architecture: Architecture, ranks: int, cache: Cache, precision: ResolvedPrecision) -> int:
    """Cache bytes per token and rank, layers padded to equal groups.

    vLLM groups layers of one kind so that all groups have the same number of layers
    (vllm/v1/core/kv_cache_utils.py): the smallest kind's count, or the largest where they are
    within a quarter. Compressed latents are copied to every rank.
    """
    kinds: dict[tuple[str, int], int] = {}
    for layer, blocks in distinct_layers(architecture):
        mixer = layer.mixer
        if isinstance(mixer, LatentAttention):
            key = ("latent", latent_width(mixer))
        elif isinstance(mixer, Attention) and mixer.stores_kv:
            heads = max(mixer.kv_heads // ranks, 1)
            key = (mixer.kind, heads * (mixer.head_dim + mixer.value_dim))
        else:
            continue
        kinds[key] = kinds.get(key, 0) + len(blocks)
    if not kinds:
        return 0
    counts = kinds.values()
    group = max(counts) if max(counts) < 1.25 * min(counts) else min(counts)
    elements = sum(width * -(-count // group) * group for (_, width), count in kinds.items())
    return elements * cache_bits(cache, precision.element_bytes) // 8


def cache_tokens(serving: Serving, total_bytes: int, utilization: float, block: int) -> Interval:
    """How many tokens fit the cache of a card of `total_bytes`; low answers the high memory use.

    vLLM 0.19 does not subtract CUDA graphs here; they come out of what `utilization` leaves.
    """
    share = int(total_bytes * utilization)
    sizes = serving.beside_cache

    def tokens(used: int) -> int:
        if serving.token_bytes == 0:
            return 0
        return max(share - used, 0) // (serving.token_bytes * block) * block

    return Interval(tokens(sizes.high), tokens(sizes.expected), tokens(sizes.low))
