"""Bytes a backward pass adds: saved activations, gradients, optimizer state."""

from __future__ import annotations

from typing import Final

from ullage.facts.architecture import Attention, Dense, Experts, LatentAttention, Layer, Recurrent
from ullage.facts.dtypes import DTYPES
from ullage.memory.forward.attention import LOG_SUM_EXP_BYTES, QUADRATIC
from ullage.memory.forward.cache import cached_heads
from ullage.memory.forward.one_pass import Pass
from ullage.memory.forward.saved_recurrence import saved_by_recurrence
from ullage.memory.weights.precision import ResolvedPrecision
from ullage.spec.workload import Training

ADAMW_8BIT_STATE_BYTES: Final = 2
"""Two uint8 moments; their fp32 scales per 256 elements add 3 % (bitsandbytes AdamW8bit)."""


def saved_bytes(layer: Layer, hidden: int, work: Pass, precision: ResolvedPrecision) -> int:
    """What autograd keeps of one layer until its backward pass, without checkpointing.

    Per norm: the fp32 input, its 16-bit copy and the normed output. Attention: query, key, value,
    output (and probabilities where they exist). Gated MLP: gate, activated gate, up, product.
    Checked against saved tensors in tests/memory.
    """
    width = precision.element_bytes
    rows = work.rows
    norm = 2 * rows * hidden * (2 * width + 4)
    return norm + _saved_mixer(layer, work, precision) + _saved_feed_forward(layer, hidden, rows, width)


def _saved_mixer(layer: Layer, work: Pass, precision: ResolvedPrecision) -> int:
    mixer, width, rows = layer.mixer, precision.element_bytes, work.rows
    if isinstance(mixer, Recurrent):
        return saved_by_recurrence(layer, mixer, work, width)
    if mixer is None:
        return 0
    if isinstance(mixer, LatentAttention):
        head = mixer.nope_dim + mixer.rope_dim
        elements = mixer.heads * (2 * head + 2 * mixer.value_dim) + mixer.kv_rank
        heads = mixer.heads
    else:
        assert isinstance(mixer, Attention)
        elements = mixer.heads * (mixer.head_dim + mixer.value_dim)
        elements += cached_heads(mixer) * (mixer.head_dim + mixer.value_dim)
        heads = mixer.heads
    scores = work.batch * heads * work.new * (work.cached + work.new)
    if work.kernel in QUADRATIC:
        kept = scores * (4 + width if work.kernel == "eager" else 2 * 4)
    else:
        kept = rows * heads * LOG_SUM_EXP_BYTES
    return rows * elements * width + kept


def _saved_feed_forward(layer: Layer, hidden: int, rows: int, width: int) -> int:
    part = layer.feed_forward
    if isinstance(part, Dense):
        return rows * part.intermediate * width * (4 if part.gated else 2)
    if isinstance(part, Experts):
        routed = part.active * (2 * hidden + part.intermediate * (4 if part.gated else 2))
        return rows * (routed + 4 * part.shared_intermediate) * width
    return 0


def checkpoint_bytes(hidden: int, work: Pass, precision: ResolvedPrecision) -> int:
    """What gradient checkpointing keeps per layer: its input (arXiv 1604.06174)."""
    return work.rows * hidden * precision.element_bytes


def _trained_bytes(precision: ResolvedPrecision) -> int:
    """Element size of what is trained: weights, or compute-dtype adapters beside quantized ones."""
    quantized = precision.scheme is not None
    return precision.element_bytes if quantized else DTYPES[precision.storage]


def adapter_bytes(elements: int, training: Training, precision: ResolvedPrecision) -> int:
    """Weights of adapters: the trainable share, where the weights themselves are quantized."""
    if precision.scheme is None:
        return 0
    return round(elements * training.trainable_fraction) * precision.element_bytes


def gradient_bytes(elements: int, training: Training, precision: ResolvedPrecision) -> int:
    """One gradient per trainable parameter."""
    width = 4 if training.gradient_dtype == "fp32" else _trained_bytes(precision)
    return round(elements * training.trainable_fraction) * width


def optimizer_bytes(elements: int, training: Training, precision: ResolvedPrecision) -> int:
    """Optimizer state and the fp32 master copy.

    torch.optim keeps AdamW's two moments in the parameter's dtype; over master weights in fp32.
    SGD here has no momentum and no state.
    """
    trainable = round(elements * training.trainable_fraction)
    width = 4 if training.master_weights else _trained_bytes(precision)
    state = {"none": 0, "sgd": 0, "adamw": 2 * width, "adamw-8bit": ADAMW_8BIT_STATE_BYTES}
    master = 4 if training.master_weights and _trained_bytes(precision) != 4 else 0
    return trainable * (state[training.optimizer] + master)
