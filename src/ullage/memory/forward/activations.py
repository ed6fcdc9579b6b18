"""Temporaries of one forward pass without gradients, per layer.

Layers run one after the other and reuse the same bytes, so a device pays the largest layer it holds, never
a sum. A layer's peak is found by replaying its code: each function below follows the statements of
transformers' decoder layers (5.19; how families differ is `Flow`'s to say) and holds and drops the tensors
that Python's variables do. Held against torch's profiler for 13 families in tests/memory, and against
GPU measurements in `benchmarks/accuracy.py`.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from ullage.facts.architecture import Attention, Dense, LatentAttention, Layer
from ullage.memory.forward.feed_forward import feed_forward
from ullage.memory.forward.matmul import unpacks
from ullage.memory.forward.mixing import mix, norm, outlived
from ullage.memory.forward.one_pass import (
    FULL,
    Manner,
    Pass,
    Widths,
    amounts_of,
    is_masked,
    rotary_bytes,
)
from ullage.memory.forward.tape import NOTHING, ROWS, Moment, Tape
from ullage.memory.weights.precision import ResolvedPrecision


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
    manner = manner_of(layer, work, precision)
    amounts = amounts_of(layer, work)
    found = Peak(0, "")
    for live, moment in _moments(layer, hidden, manner, precision, attention_only):
        size = live.of(amounts)
        if size > found.bytes:
            found = Peak(size, moment)
    return found


def manner_of(layer: Layer, work: Pass, precision: ResolvedPrecision) -> Manner:
    """How a pass takes a layer's code."""
    mixer = layer.mixer
    masked = isinstance(mixer, Attention | LatentAttention) and is_masked(mixer, work)
    caches = work.caches and (not isinstance(mixer, Attention) or mixer.causal)
    several, unpacking = work.new > 1, unpacks(work, precision)
    return Manner(work.kernel, masked, work.masked, caches, several, unpacking, work.processor)


@lru_cache(maxsize=4096)
def _moments(
    layer: Layer, hidden: int, manner: Manner, precision: ResolvedPrecision, attention_only: bool
) -> tuple[Moment, ...]:
    """Of a layer's code those that are the largest in some pass."""
    tape = Tape()
    play(tape, layer, hidden, manner, precision, attention_only)
    return tape.largest()


def play(
    tape: Tape, layer: Layer, hidden: int, manner: Manner, precision: ResolvedPrecision, attention_only: bool
) -> None:
    """Runs a layer's code on a tape, from the stream that enters it to the one that leaves it."""
    width = precision.element_bytes
    sizes = Widths(ROWS * (hidden * width), width, hidden)
    tape.hold(sizes.stream)
    if layer.flow.full_stream:
        tape.hold(ROWS * (hidden * (FULL - width)))
    if isinstance(layer.mixer, Attention):
        own = manner.padded and layer.mixer.causal
        tape.hold(rotary_bytes(layer.mixer, layer.flow, own, width))
    tape.enter()
    {
        "pre": _pre,
        "sandwich": _sandwich,
        "post": _post,
        "added": _added,
        "parallel": _parallel,
    }[layer.flow.order](tape, layer, sizes, manner, precision, attention_only)


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
    feed_forward(tape, layer, s, manner, precision)
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
    feed_forward(tape, layer, s, manner, precision)
    tape.drop(normed)
    normed = norm(tape, layer.flow, s)
    tape.drop(s.stream)
    tape.hold(s.stream)
    tape.drop(normed, kept)


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
    feed_forward(tape, layer, s, manner, precision)
    normed = norm(tape, layer.flow, s)
    tape.drop(s.stream)
    tape.hold(s.stream)
    tape.drop(normed, kept)


def _added(
    tape: Tape, layer: Layer, s: Widths, manner: Manner, precision: ResolvedPrecision, attention_only: bool
) -> None:
    """BERT: what an output and the stream add up to is normed; twice."""
    kept = mix(tape, layer, s, manner, precision)
    tape.hold(s.stream)
    norm(tape, layer.flow, s)
    tape.drop(s.stream, s.stream, outlived(layer, s))
    if attention_only:
        return
    wide = NOTHING
    if layer.flow.outlives != "none" and isinstance(layer.feed_forward, Dense):
        wide = ROWS * (layer.feed_forward.intermediate * s.width)
    feed_forward(tape, layer, s, manner, precision)
    tape.hold(wide)
    tape.hold(s.stream)
    norm(tape, layer.flow, s)
    tape.drop(*[s.stream] * 4, wide, kept)


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
    feed_forward(tape, layer, s, manner, precision)
    tape.drop(normed)
    tape.hold(s.stream)
    tape.hold(s.stream)
    tape.drop(s.stream, kept)
