"""Temporaries of one forward pass without gradients, per layer.

A layer's peak is the largest of its moments; layers run one after the other and reuse the same
bytes, so a device pays the largest layer it holds, never a sum. The sums of tensors below follow
the variables that transformers' decoder layers hold (Qwen2, Llama, Mixtral in 5.19); they meet the
single-GPU measurements of `benchmarks/accuracy.py` to a fraction of a percent.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from ullage.facts.architecture import Attention, Dense, Experts, LatentAttention, Layer, Recurrent
from ullage.memory.attention import kernel_bytes
from ullage.memory.dtypes import ResolvedPrecision
from ullage.memory.weights import block_bytes

STREAMS: Final = 3
"""Hidden-width tensors alive through a block: the layer's input, which the model's loop still
holds, the residual and the normed input. The token embeddings, a fourth, are held on the device
of block 0 alone (`embedded_bytes`)."""
ROTARY_TABLES: Final = 2
GPTQ_UNPACK_ROWS: Final = 128
"""AutoGPTQ's CUDA kernel for 8 bits unpacks whole weights above this many rows
(`kernel_switch_threshold`, auto_gptq 0.6-0.7)."""
AWQ_UNPACK_ROWS: Final = 1024
"""AutoAWQ's GEMM layer dequantizes the weight from this many rows on (awq/modules/linear/gemm.py)."""


@dataclass(frozen=True, slots=True)
class Pass:
    """One forward pass: `new` positions of each of `batch` sequences after `cached` earlier ones."""

    batch: int
    new: int
    cached: int
    kernel: str
    masked: bool

    @property
    def rows(self) -> int:
        return self.batch * self.new


@dataclass(frozen=True, slots=True)
class Peak:
    """The largest moment of a layer, in bytes, and its name."""

    bytes: int
    moment: str


@lru_cache(maxsize=65536)
def layer_peak(layer: Layer, hidden: int, work: Pass, precision: ResolvedPrecision) -> Peak:
    """The largest moment of one layer in `work`."""
    mixer, feed_forward = layer.mixer, layer.feed_forward
    moments = [Peak(_norm(hidden, work, precision), "norm")]
    if isinstance(mixer, Attention):
        moments.append(Peak(_attention(mixer, hidden, work, precision), "attention"))
    elif isinstance(mixer, LatentAttention):
        moments.append(Peak(_latent(mixer, hidden, work, precision), "attention"))
    elif isinstance(mixer, Recurrent):
        moments.append(Peak(_recurrent(mixer, hidden, work, precision), "recurrence"))
    if isinstance(feed_forward, Dense):
        size = _dense(feed_forward.intermediate, feed_forward, layer, hidden, work, precision)
        moments.append(Peak(size, "feed-forward"))
    elif isinstance(feed_forward, Experts):
        moments.append(Peak(_experts(feed_forward, hidden, work, precision), "experts"))
    return max(moments, key=lambda peak: peak.bytes)


def embedded_bytes(hidden: int, work: Pass, element_bytes: int) -> int:
    """`inputs_embeds`, which the model's forward holds until it returns."""
    return work.rows * hidden * element_bytes


def _streams(count: int, hidden: int, work: Pass, precision: ResolvedPrecision) -> int:
    return count * work.rows * hidden * precision.element_bytes


def _norm(hidden: int, work: Pass, precision: ResolvedPrecision) -> int:
    """RMSNorm upcasts: two streams, the fp32 input, and its square or product."""
    upcast = 8 * work.rows * hidden
    return _streams(2, hidden, work, precision) + upcast


def _attention(mixer: Attention, hidden: int, work: Pass, precision: ResolvedPrecision) -> int:
    """Two streams, then the larger of rotary embedding (the query four times over) and kernel.

    Keys and values of the pass are the cache's own line item.
    """
    rows, width = work.rows, precision.element_bytes
    query = rows * mixer.heads * mixer.head_dim * width
    key = rows * mixer.kv_heads * mixer.head_dim * width
    cached = work.cached if mixer.window is None else min(work.cached, mixer.window - 1)
    scores = kernel_bytes(
        work.kernel,
        precision.compute,
        work.batch,
        work.new,
        cached + work.new,
        mixer.heads,
        mixer.kv_heads,
        mixer.head_dim,
        work.masked or (mixer.window is not None and cached + work.new > mixer.window),
    )
    normed = 2 * query // width * 4 if mixer.qk_norm and width < 4 else 0
    rotary = 4 * query + key + ROTARY_TABLES * work.rows * mixer.head_dim * width
    output = rows * mixer.heads * mixer.value_dim * width
    fused = query + 2 * key if mixer.fused_qkv else 0
    inside = max(rotary + fused, query + normed, query + 2 * output + scores + fused)
    return _streams(2, hidden, work, precision) + inside


def _latent(mixer: LatentAttention, hidden: int, work: Pass, precision: ResolvedPrecision) -> int:
    """Queries twice (rotary parts joined), the up-projected keys and values, then the kernel."""
    width = precision.element_bytes
    head = mixer.nope_dim + mixer.rope_dim
    query = work.rows * mixer.heads * head * width
    lifted = work.rows * mixer.heads * (mixer.nope_dim + mixer.value_dim) * width
    output = work.rows * mixer.heads * mixer.value_dim * width
    scores = kernel_bytes(
        work.kernel,
        precision.compute,
        work.batch,
        work.new,
        work.cached + work.new,
        mixer.heads,
        mixer.heads,
        head,
        work.masked,
    )
    inside = lifted + max(2 * query, query + 2 * output + scores)
    return _streams(2, hidden, work, precision) + inside


def _recurrent(mixer: Recurrent, hidden: int, work: Pass, precision: ResolvedPrecision) -> int:
    """Input projection, convolution and scan with the fused kernels (mamba-ssm, fla) installed."""
    width = precision.element_bytes
    inside = work.rows * (mixer.projected + 3 * mixer.inner) * width
    return _streams(2, hidden, work, precision) + inside


def _dense(
    intermediate: int,
    feed_forward: Dense,
    layer: Layer,
    hidden: int,
    work: Pass,
    precision: ResolvedPrecision,
) -> int:
    """Gated: activated gate, up projection and their product. Fused: gate and up come as one."""
    wide = work.rows * intermediate * precision.element_bytes
    tensors = 4 if feed_forward.gated and feed_forward.fused else 3
    unpacking, multiplying = matmul_bytes(layer, intermediate, hidden, work, precision)
    inside = max(tensors * wide, wide + unpacking, 2 * wide + multiplying)
    tables = 0
    if isinstance(layer.mixer, Attention):
        tables = ROTARY_TABLES * work.rows * layer.mixer.head_dim * precision.element_bytes
    return _streams(STREAMS, hidden, work, precision) + inside + tables


def _experts(moe: Experts, hidden: int, work: Pass, precision: ResolvedPrecision) -> int:
    """Tokens gathered once per chosen expert, then the larger of gating and weighting.

    transformers 5's grouped matmul runs all experts of a layer at once (integrations/moe.py):
    gating holds the gathered tokens, gate with up, activation and product; weighting holds the
    gathered tokens, the projection, and its fp32 weighted copy twice (once in the old order). The
    router's logits, probabilities and choices are fp32.
    """
    width = precision.element_bytes
    gathered = work.rows * moe.active
    gating = gathered * (hidden + (4 if moe.gated else 2) * moe.intermediate) * width
    weighting = gathered * hidden * (2 * width + 8)
    shared = 3 * work.rows * moe.shared_intermediate * width
    router = 3 * work.rows * moe.count * 4
    return _streams(STREAMS, hidden, work, precision) + max(gating, weighting, shared) + router


def matmul_bytes(
    layer: Layer, outputs: int, hidden: int, work: Pass, precision: ResolvedPrecision
) -> tuple[int, int]:
    """What a quantized linear layer adds: before its output exists, and while it multiplies.

    NF4 and AWQ dequantize the whole weight to 16 bits; AutoGPTQ's 8-bit kernel unpacks it to int32
    and then to 16 bits; LLM.int8() (arXiv 2208.07339) quantizes the input and holds an int32
    result.
    """
    elements = block_bytes(layer.weights, precision).largest_linear
    storage, stored = precision.storage, precision.quantization
    bits = stored.bits if stored is not None else 8
    weight = elements * precision.element_bytes
    if storage in ("nf4", "nf4-dq") or (storage == "bitsandbytes" and bits == 4):
        return (weight, weight) if work.rows > 1 else (0, 0)
    if storage == "int8" or (storage == "bitsandbytes" and bits == 8):
        return 0, work.rows * (hidden + 4 * outputs)
    if storage == "awq" and work.rows >= AWQ_UNPACK_ROWS:
        return weight, weight
    if storage == "gptq-int8" or (storage == "gptq" and bits == 8):
        return (4 * elements + weight, weight) if work.rows > GPTQ_UNPACK_ROWS else (0, 0)
    return 0, 0


def dequantization_buffer(largest_linear: int, precision: ResolvedPrecision) -> int:
    """The 16-bit buffer of the largest linear layer that ExLlama's 4-bit kernels keep per device.

    Source: `max_dq_buffer_size` in AutoGPTQ's exllama `prepare_buffers`; the GPTQ-Int4 rows of the
    Qwen2.5 measurements show it to the megabyte.
    """
    bits = precision.quantization.bits if precision.quantization is not None else 4
    if precision.storage == "gptq-int4" or (precision.storage == "gptq" and bits == 4):
        return largest_linear * precision.element_bytes
    return 0
