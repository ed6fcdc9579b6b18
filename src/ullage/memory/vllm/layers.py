"""What vLLM caches of a token, and which layers keep no more than a window of a sequence."""

from __future__ import annotations

from typing import Final, NamedTuple

from ullage.facts.architecture import Architecture, Attention, LatentAttention
from ullage.memory.forward.cache import cache_bits, latent_width
from ullage.memory.weights.precision import ResolvedPrecision
from ullage.memory.weights.tensors import distinct_layers
from ullage.spec.engine import OwnCache
from ullage.spec.role import Cache

WINDOWS_SINCE: Final = (0, 10)
"""Versions before are taken to keep every token of layers that look back over a window; since then blocks
behind it are given back (docs.vllm.ai/en/latest/design/hybrid_kv_cache_manager; 0.19 by its logs)."""

BYTE: Final = 8
SCALED: Final = 128
SCALE_BYTES: Final = 4


class Windowed(NamedTuple):
    """Layers that look back over a window: the most `tokens` kept of a sequence, and the bytes of each token
    in all of these layers."""

    tokens: int
    bytes: int


class _Kind(NamedTuple):
    """Layers that are cached alike: what they look back over, in tokens, and elements a token and layer."""

    name: str
    window: int | None
    elements: int


def _kinds(architecture: Architecture, ranks: int) -> dict[_Kind, int]:
    """How many layers of each kind are counted, padded to equal groups.

    vLLM groups layers of one kind so that all groups have the same number of layers
    (vllm/v1/core/kv_cache_utils.py): the smallest kind's count, or the largest where they are
    within a quarter. Compressed latents are copied to every rank.
    """
    kinds: dict[_Kind, int] = {}
    for layer, blocks in distinct_layers(architecture):
        mixer = layer.mixer
        if isinstance(mixer, LatentAttention):
            key = _Kind("latent", None, latent_width(mixer))
        elif isinstance(mixer, Attention) and mixer.stores_kv:
            heads = max(mixer.kv_heads // ranks, 1)
            key = _Kind(mixer.kind, mixer.window, heads * (mixer.head_dim + mixer.value_dim))
        else:
            continue
        kinds[key] = kinds.get(key, 0) + len(blocks)
    if not kinds:
        return {}
    counts = kinds.values()
    group = max(counts) if max(counts) < 1.25 * min(counts) else min(counts)
    return {kind: -(-count // group) * group for kind, count in kinds.items()}


def token_bytes(architecture: Architecture, ranks: int, cache: Cache, precision: ResolvedPrecision) -> int:
    """Cache bytes per token and rank of all layers, as they are grouped."""
    elements = sum(kind.elements * count for kind, count in _kinds(architecture, ranks).items())
    bits = cache_bits(cache, precision.element_bytes)
    return elements * bits // 8 + _indexed_bytes(architecture, bits)


def _indexed_bytes(architecture: Architecture, bits: int) -> int:
    """What layers with an indexer keep of a token beside its latent, on every rank: a key of it in 8 bits
    with an fp32 scale for each 128 elements, whatever the cache is in (DeepseekV32IndexerCache of
    models/deepseek_v2.py, 0.32). A latent in 8 bits has such scales too and its rotary part in 16 bits, as
    FlashMLA's sparse kernel takes it (fp8_ds_mla, 656 bytes; other cards' kernels may do without)."""
    found = 0
    for layer, blocks in distinct_layers(architecture):
        mixer = layer.mixer
        if isinstance(mixer, LatentAttention) and mixer.indexer_dim:
            beside = mixer.indexer_dim + _scales(mixer.indexer_dim)
            beside += _scales(mixer.kv_rank) + mixer.rope_dim if bits == BYTE else 0
            found += len(blocks) * beside
    return found


def _scales(elements: int) -> int:
    """Bytes of the scales of so many elements."""
    return elements // SCALED * SCALE_BYTES


def windows_of(
    architecture: Architecture,
    ranks: int,
    own: OwnCache,
    cache: Cache,
    precision: ResolvedPrecision,
    step_tokens: int,
) -> tuple[Windowed, ...]:
    """Layers that keep a window alone: the tokens before, and those of a step."""
    if own.version is not None and own.version < WINDOWS_SINCE:
        return ()
    bits = cache_bits(cache, precision.element_bytes)
    return tuple(
        Windowed(kind.window - 1 + step_tokens, kind.elements * count * bits // 8)
        for kind, count in _kinds(architecture, ranks).items()
        if kind.window is not None
    )
