"""What the model's own forward holds while its layers run: positions, masks, biases, embeddings."""

from __future__ import annotations

from collections.abc import Iterable

from ullage.facts.architecture import Architecture, Attention, LatentAttention
from ullage.facts.flow import Flow
from ullage.memory.forward.attention import mask_bytes
from ullage.memory.forward.one_pass import FULL, Pass, attended, is_masked
from ullage.memory.weights.tensors import distinct_layers


def model_bytes(architecture: Architecture, work: Pass, width: int) -> tuple[int, int]:
    """What the model's own forward holds until it returns: (token ids, positions and masks; the
    embeddings, where they are what enters the first layer)."""
    stream = work.rows * architecture.hidden_size * width
    flow = architecture.layers[0].flow if architecture.layers else Flow()
    held = work.rows * 8 + work.new * 8 + sum(_masks(architecture, work, width))
    held += work.rows * architecture.beside * width + _biases(architecture, flow, work, width)
    mixer = architecture.layers[0].mixer if architecture.layers else None
    if flow.scores in ("biased", "disentangled") and isinstance(mixer, Attention):
        held += _distance_bytes(architecture, mixer, work, width)
    if flow.positions == "none":
        return held, stream
    if flow.positions == "shared":
        return held + stream + work.new * architecture.hidden_size * width, 0
    return held + 2 * stream + work.rows * (FULL + 8), 0


def _distance_bytes(architecture: Architecture, mixer: Attention, work: Pass, width: int) -> int:
    """What is there of distances, and beside them, until all layers are through: MPNet's table of scores, one
    for each sequence; DeBERTa's distances (int64), its mask (as it was given, or fp32) and what embeds them,
    and the output of every layer but the one that is read and the one being made."""
    if mixer.distances == 0:
        return work.rows * work.new * mixer.heads * width
    outputs = max(len(architecture.layers) - 2, 0) * work.rows + 2 * mixer.distances
    square = work.new * work.new * 8 + work.rows * work.new * (8 if work.masked else FULL)
    return outputs * architecture.hidden_size * width + square + work.rows * (8 + FULL)


def _masks(architecture: Architecture, work: Pass, width: int) -> Iterable[int]:
    """One mask for each kind of layer that is given one."""
    found = {}
    for layer, _ in distinct_layers(architecture):
        mixer = layer.mixer
        if isinstance(mixer, Attention) and mixer.distances:
            continue
        if isinstance(mixer, Attention | LatentAttention) and is_masked(mixer, work):
            keys = attended(mixer, work)
            element = 1 if layer.flow.scores == "promoted" else width
            size = mask_bytes(work.kernel, work.batch, work.new, keys, work.masked, element)
            found[mixer.window if isinstance(mixer, Attention) else None] = size
    return found.values()


def _biases(architecture: Architecture, flow: Flow, work: Pass, width: int) -> int:
    """Linear biases of positions, a mask of ones, and the weights that the layer before left."""
    mixer = next((m for layer in architecture.layers if isinstance(m := layer.mixer, Attention)), None)
    if mixer is None:
        return 0
    keys = work.cached + work.new
    held = work.batch * mixer.heads * work.new * keys * width if flow.passes_weights else 0
    if flow.makes_mask:
        held += work.batch * keys * FULL
    if flow.biases == "each":
        held += work.batch * keys * mixer.heads * width
    elif flow.biases == "table":
        held += mixer.heads * (architecture.max_positions or keys) * FULL
    return held
