"""Temporaries of one forward pass without gradients, per layer.

Layers run one after the other and reuse the same bytes, so a device pays the largest layer it holds, never
a sum. A layer's peak is found by replaying its code: each function below follows the statements of
transformers' decoder layers (5.19; how families differ is `Flow`'s to say) and holds and drops the tensors
that Python's variables do. Held against torch's profiler for 13 families in tests/memory, and against
GPU measurements in `benchmarks/accuracy.py`.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Final, NamedTuple

from ullage.facts.architecture import Architecture, Attention, Dense, Experts, LatentAttention, Layer
from ullage.facts.flow import Flow
from ullage.memory.forward.attention import mask_bytes
from ullage.memory.forward.matmul import matmul_bytes, unpacks
from ullage.memory.forward.mixing import mix, norm, outlived
from ullage.memory.forward.one_pass import (
    FULL,
    Manner,
    Pass,
    Widths,
    amounts_of,
    attended,
    is_masked,
    rotary_bytes,
)
from ullage.memory.forward.tape import NOTHING, ROWS, Moment, Tape
from ullage.memory.weights.precision import ResolvedPrecision
from ullage.memory.weights.tensors import distinct_layers

CHOICE: Final = 8
"""Bytes of the number of a chosen expert, and of its place among all that were chosen."""


class Peak(NamedTuple):
    """The largest moment of a layer, in bytes, and its name."""

    bytes: int
    moment: str


def layer_peak(
    layer: Layer, hidden: int, work: Pass, precision: ResolvedPrecision, attention_only: bool = False
) -> Peak:
    """The largest moment of one layer in `work`; of its attention alone where the pass ends there."""
    if layer.beside is not None:
        first = _recurring(layer)
        found = [layer_peak(first, hidden, work, precision, True)]
        found += [_peak(layer, hidden, work, precision, attention_only)]
        return max(found)
    return _peak(layer, hidden, work, precision, attention_only)


@lru_cache(maxsize=256)
def _recurring(layer: Layer) -> Layer:
    """A layer up to the end of the recurrence that runs before its attention."""
    return Layer(layer.beside, layer.feed_forward, layer.weights, layer.flow)


def _peak(layer: Layer, hidden: int, work: Pass, precision: ResolvedPrecision, attention_only: bool) -> Peak:
    mixer = layer.mixer
    masked = isinstance(mixer, Attention | LatentAttention) and is_masked(mixer, work)
    caches = work.caches and (not isinstance(mixer, Attention) or mixer.stores_kv)
    several, unpacking = work.new > 1, unpacks(work, precision)
    manner = Manner(work.kernel, masked, work.masked, caches, several, unpacking, work.processor)
    amounts = amounts_of(layer, work)
    found = Peak(0, "")
    for live, moment in _moments(layer, hidden, manner, precision, attention_only):
        size = live.of(amounts)
        if size > found.bytes:
            found = Peak(size, moment)
    return found


@lru_cache(maxsize=4096)
def _moments(
    layer: Layer, hidden: int, manner: Manner, precision: ResolvedPrecision, attention_only: bool
) -> tuple[Moment, ...]:
    """Of a layer's code those that are the largest in some pass."""
    width = precision.element_bytes
    sizes = Widths(ROWS * (hidden * width), width, hidden)
    tape = Tape()
    tape.hold(sizes.stream)
    if layer.flow.full_stream:
        tape.hold(ROWS * (hidden * (FULL - width)))
    if isinstance(layer.mixer, Attention):
        own = manner.padded and layer.mixer.causal
        tape.hold(rotary_bytes(layer.mixer, layer.flow, own, width))
    {
        "pre": _pre,
        "sandwich": _sandwich,
        "post": _post,
        "added": _added,
        "parallel": _parallel,
    }[layer.flow.order](tape, layer, sizes, manner, precision, attention_only)
    return tape.largest()


def _pre(
    tape: Tape, layer: Layer, s: Widths, manner: Manner, precision: ResolvedPrecision, attention_only: bool
) -> None:
    """Llama, Qwen2, Phi-3, GPT-2, OPT, Mixtral: norm, part, sum; twice."""
    kept = NOTHING
    if layer.mixer is not None:
        normed = norm(tape, layer.flow, s)
        kept = mix(tape, layer, s, manner, precision)
        if layer.flow.keeps_normed:
            kept += normed
        else:
            tape.drop(normed)
        tape.hold(s.stream)
        if not layer.flow.keeps_attention:
            tape.drop(s.stream)
    if attention_only:
        return
    normed = norm(tape, layer.flow, s)
    if layer.flow.adds_normed:
        tape.drop(s.stream)
    if layer.flow.drops_normed:
        tape.drop(normed)
    _feed_forward(tape, layer, s, manner, precision)
    if not layer.flow.drops_normed:
        tape.drop(normed)
    tape.hold(s.stream)
    tape.drop(kept)


def _sandwich(
    tape: Tape, layer: Layer, s: Widths, manner: Manner, precision: ResolvedPrecision, attention_only: bool
) -> None:
    """Gemma 2 and 3: outputs are normed too before they are added."""
    normed = norm(tape, layer.flow, s)
    kept = mix(tape, layer, s, manner, precision)
    tape.drop(normed)
    normed = norm(tape, layer.flow, s)
    tape.drop(s.stream)
    tape.hold(s.stream)
    tape.drop(normed)
    if attention_only:
        return
    normed = norm(tape, layer.flow, s)
    _feed_forward(tape, layer, s, manner, precision)
    tape.drop(normed)
    normed = norm(tape, layer.flow, s)
    tape.drop(s.stream)
    tape.hold(s.stream)
    tape.drop(normed + kept)


def _post(
    tape: Tape, layer: Layer, s: Widths, manner: Manner, precision: ResolvedPrecision, attention_only: bool
) -> None:
    """OLMo-2: outputs are normed, inputs are not."""
    kept = mix(tape, layer, s, manner, precision)
    normed = norm(tape, layer.flow, s)
    tape.drop(s.stream)
    tape.hold(s.stream)
    tape.drop(normed)
    if attention_only:
        return
    _feed_forward(tape, layer, s, manner, precision)
    normed = norm(tape, layer.flow, s)
    tape.drop(s.stream)
    tape.hold(s.stream)
    tape.drop(normed + kept)


def _added(
    tape: Tape, layer: Layer, s: Widths, manner: Manner, precision: ResolvedPrecision, attention_only: bool
) -> None:
    """BERT: what an output and the stream add up to is normed; twice."""
    kept = mix(tape, layer, s, manner, precision)
    tape.hold(s.stream)
    norm(tape, layer.flow, s)
    tape.drop(s.stream * 2 + outlived(layer, s))
    if attention_only:
        return
    wide = NOTHING
    if layer.flow.outlives != "none" and isinstance(layer.feed_forward, Dense):
        wide = ROWS * (layer.feed_forward.intermediate * s.width)
    _feed_forward(tape, layer, s, manner, precision)
    tape.hold(wide)
    tape.hold(s.stream)
    norm(tape, layer.flow, s)
    tape.drop(s.stream * 4 + wide + kept)


def _parallel(
    tape: Tape, layer: Layer, s: Widths, manner: Manner, precision: ResolvedPrecision, attention_only: bool
) -> None:
    """GPT-NeoX, Falcon, Cohere: both parts read the layer's input, and are added at the end."""
    normed = norm(tape, layer.flow, s)
    kept = mix(tape, layer, s, manner, precision)
    tape.drop(normed)
    if attention_only:
        return
    normed = norm(tape, layer.flow, s)
    _feed_forward(tape, layer, s, manner, precision)
    tape.drop(normed)
    tape.hold(s.stream)
    tape.hold(s.stream)
    tape.drop(s.stream + kept)


def _feed_forward(tape: Tape, layer: Layer, s: Widths, manner: Manner, precision: ResolvedPrecision) -> None:
    """Holds the feed-forward part's output, as wide as the stream."""
    part = layer.feed_forward
    if isinstance(part, Experts):
        tape.at("experts")
        _experts(tape, layer, part, s, manner, precision)
    elif isinstance(part, Dense):
        tape.at("feed-forward")
        _dense(tape, layer, part, s, manner, precision)
    else:
        tape.hold(s.stream)


def _dense(
    tape: Tape, layer: Layer, part: Dense, s: Widths, manner: Manner, precision: ResolvedPrecision
) -> None:
    """Holds a dense part's output.

    Gated: gate, activated gate, up projection and product. Fused: gate and up come as one, and stay.
    """
    wide = ROWS * (part.intermediate * s.width)
    outputs = part.intermediate * (2 if part.fused else 1)
    tensors, conditions = layer.flow.activation
    steps = wide * tensors + ROWS * (part.intermediate * conditions)
    unpacking, multiplying = matmul_bytes(layer, outputs, s.hidden, manner.unpacks, precision)
    tape.touch(wide + unpacking)
    tape.touch(wide * 2 + multiplying)
    if not part.gated:
        tape.hold(wide)
        tape.touch(steps)
        tape.hold(wide)
        tape.drop(wide)
        tape.hold(s.stream)
        tape.drop(wide)
        return
    if part.fused:
        tape.hold(wide * 2)
        if layer.flow.experts == "scaled":
            tape.touch(wide * 5)
        activated = tape.hold(wide)
        tape.hold(wide)
        tape.drop(activated)
        tape.hold(s.stream)
        tape.drop(wide * 3)
        return
    gate = tape.hold(wide)
    tape.touch(steps)
    activated = tape.hold(wide)
    tape.drop(gate)
    up = tape.hold(wide)
    tape.hold(wide)
    tape.drop(activated + up)
    if layer.flow.norms_last:
        norm(tape, layer.flow, s, wide // s.width)
        tape.drop(wide)
    tape.hold(s.stream)
    tape.drop(wide)


def _experts(
    tape: Tape, layer: Layer, moe: Experts, s: Widths, manner: Manner, precision: ResolvedPrecision
) -> None:
    """Tokens gathered once per chosen expert, then the larger of gating and weighting.

    transformers 5's grouped matmul runs all experts of a layer at once (integrations/moe.py): gating
    holds the gathered tokens, gate with up, activation and product (and, clamped, both halves and what they
    become, and maybe a bias); weighting holds the gathered tokens, the projection, and its fp32 weighted copy
    twice (once in the old order). The router's logits stay, its fp32 probabilities and 64-bit choices too.
    """
    shared = None
    if moe.shared_intermediate:
        shared = Dense(moe.shared_intermediate, moe.gated, moe.shared_fused)
    first = layer.flow.shared_first
    if shared is not None and first:
        _dense(tape, layer, shared, s, manner, precision)
    gathered = ROWS * (moe.count if layer.flow.experts == "every" else moe.active)
    read = moe.latent or s.hidden
    router = tape.hold(ROWS * (moe.count * (FULL + s.width) + moe.active * (2 * FULL + 2 * CHOICE + s.width)))
    kept = {"clamped": 9, "scaled": 7}.get(
        layer.flow.experts, 4 if moe.gated else 1 + layer.flow.activation[0]
    )
    latent = tape.hold(ROWS * (moe.latent * s.width))
    tape.touch(gathered * ((read + kept * moe.intermediate) * s.width))
    tape.touch(gathered * (read * (2 * s.width + 2 * FULL)))
    tape.drop(latent)
    tape.touch(latent)
    tape.drop(router)
    tape.hold(s.stream)
    if shared is not None and not first:
        _dense(tape, layer, shared, s, manner, precision)
    if shared is not None:
        tape.touch(s.stream)
        tape.drop(s.stream)


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
