"""Bytes of the key-value cache and of recurrent states, per layer.

`tokens` are cached positions of one sequence; element sizes are bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

from ullage.facts.architecture import Attention, LatentAttention, Layer, Recurrent
from ullage.spec.role import Cache

QUANTIZED_CACHE_GROUP: Final = 64
"""Elements that share a scale and a zero in transformers' QuantizedCache (`q_group_size`)."""
QUANTIZED_CACHE_RESIDUAL: Final = 128
"""Most recent tokens it keeps unquantized (`residual_length`)."""
_CACHE_BITS: Final = {"fp32": 32, "fp16": 16, "bf16": 16, "fp8": 8, "int8": 8, "int4": 4, "int2": 2}


@dataclass(frozen=True, slots=True)
class CacheTensors:
    """`count` tensors of `bytes` each that one layer keeps for all sequences of a batch."""

    count: int
    bytes: int
    fixed_bytes: int = 0

    @property
    def total(self) -> int:
        return self.count * self.bytes + self.fixed_bytes


class CacheShape(NamedTuple):
    """A cache of `batch` sequences after `seen` tokens, of which `last_pass` came in the last forward pass.

    `capacity` is the length a static cache is allocated for.
    """

    batch: int
    seen: int
    last_pass: int
    capacity: int


def cache_bits(cache: Cache, width: int) -> int:
    """Bits of one cached element where `width` bytes are computed in, scales not counted; of a quantized
    cache 4 where the file says none (`nbits` of transformers' QuantizedCache)."""
    if cache.precision == "auto":
        return 4 if cache.kind == "quantized" else 8 * width
    return _CACHE_BITS[cache.precision]


def unpacked_bytes(cache: Cache, width: int, tokens: int) -> float:
    """Bytes that a byte of a quantized cache of so many tokens becomes where it is read: its scales and the
    recent tokens, which are not quantized, counted."""
    full = 8 * width
    recent = min(tokens, QUANTIZED_CACHE_RESIDUAL) / max(tokens, 1)
    bits = cache_bits(cache, width) + 2 * full / QUANTIZED_CACHE_GROUP
    return full / (recent * full + (1 - recent) * bits)


def cached_heads(mixer: Attention) -> int:
    """Heads of keys and of values as a cache of transformers takes them."""
    return mixer.heads if mixer.spread else mixer.kv_heads


def key_value_widths(mixer: Attention | LatentAttention) -> tuple[int, int]:
    """Elements of key and of value that are cached per token.

    Multi-head latent attention caches the compressed latent and its rotary part, and the indexer's key
    (transformers 5.19, DeepSeek-V3's modeling file).
    """
    if isinstance(mixer, LatentAttention):
        return mixer.kv_rank, mixer.rope_dim + mixer.indexer_dim
    heads = cached_heads(mixer)
    return heads * mixer.head_dim, heads * mixer.value_dim


def latent_width(mixer: LatentAttention) -> int:
    """Elements per token of the compressed cache: kv_lora_rank + qk_rope_head_dim."""
    return mixer.kv_rank + mixer.rope_dim


def held_tokens(mixer: Attention | LatentAttention, seen: int, last_pass: int) -> int:
    """Positions whose storage a dynamic cache holds after a pass of `last_pass` of `seen` tokens.

    A sliding or chunked layer keeps the last window-1 positions, but as a view of the whole
    concatenation it attended over, so the pass's own tokens stay allocated until the next pass
    (transformers 5.19 DynamicSlidingWindowLayer.update).
    """
    if isinstance(mixer, LatentAttention) or mixer.window is None:
        return seen
    earlier = min(seen - last_pass, mixer.window - 1)
    return earlier + last_pass


def layer_cache(layer: Layer, shape: CacheShape, cache: Cache, width: int) -> CacheTensors:
    """What one layer keeps where an element computed in is `width` bytes."""
    mixer, (batch, seen, last_pass, capacity) = layer.mixer, shape
    state = 0 if layer.recurrent is None else recurrent_bytes(layer.recurrent, width) * batch
    if (
        mixer is None
        or isinstance(mixer, Recurrent)
        or (isinstance(mixer, Attention) and not (mixer.stores_kv and mixer.causal))
    ):
        return CacheTensors(0, 0, state)
    key, value = key_value_widths(mixer)
    elements = (key + value) // 2
    if cache.kind == "static":
        window = mixer.window if isinstance(mixer, Attention) else None
        tokens = capacity if window is None else min(window, capacity)
        return CacheTensors(2, batch * tokens * elements * cache_bits(cache, width) // 8, state)
    tokens = held_tokens(mixer, seen, last_pass)
    if cache.kind == "quantized":
        recent = min(tokens, QUANTIZED_CACHE_RESIDUAL)
        full = batch * recent * elements * width
        old = batch * (tokens - recent) * elements
        scales = -(-old // QUANTIZED_CACHE_GROUP) * 2 * width
        return CacheTensors(2, full + old * cache_bits(cache, width) // 8 + scales, state)
    return CacheTensors(2, batch * tokens * elements * width, state)


def recurrent_bytes(mixer: Recurrent, element_bytes: int) -> int:
    """Convolution window and state of one sequence; the state in its own dtype (fp32 mostly)."""
    return mixer.conv_elements * element_bytes + mixer.state_elements * mixer.state_bytes
