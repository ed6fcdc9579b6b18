"""Tensor parallelism: what of a model's weights one rank holds, and whether a model can be split so."""

from __future__ import annotations

from ullage.errors import UnsupportedError
from ullage.facts.architecture import Architecture, Attention, Dense, LatentAttention, Weight
from ullage.memory.vllm.startup import VOCABULARY_PADDING
from ullage.memory.weights.precision import ResolvedPrecision
from ullage.memory.weights.schemes import stored_tensors
from ullage.memory.weights.tensors import distinct_layers, weights_by_blocks


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


def rank_weights(architecture: Architecture, precision: ResolvedPrecision, ranks: int) -> int:
    """Linear layers, experts, embedding and head are split; norms, biases and routers are copied.

    The rotary table of every cached position (`cos_sin_cache`) belongs to the weights vLLM reports.
    """
    total = 0
    for weights, blocks in weights_by_blocks(architecture):
        total += len(blocks) * sum(_rank_bytes(weight, precision, ranks) for weight in weights)
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
