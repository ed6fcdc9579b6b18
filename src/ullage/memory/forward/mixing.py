"""Replays a layer's norms and its attention, latent attention or recurrence."""

from __future__ import annotations

from ullage.facts.architecture import Attention, LatentAttention, Layer, Recurrent
from ullage.facts.dtypes import DTYPES
from ullage.facts.flow import Flow
from ullage.memory.forward.attention import Call, attend
from ullage.memory.forward.cache import cached_heads
from ullage.memory.forward.latent import latent
from ullage.memory.forward.one_pass import FULL, Manner, Widths
from ullage.memory.forward.recurrence import recur
from ullage.memory.forward.tape import CACHED, NOTHING, ROWS, Size, Tape
from ullage.memory.weights.precision import ResolvedPrecision


def norm(tape: Tape, flow: Flow, s: Widths, size: Size | None = None, heads: int = 1) -> Size:
    """A norm of so many bytes (the stream's unless given); the bytes of its result, which stays held.

    Each position has as many means as `heads`, and as many inverses of their roots.

    RMS norms compute in fp32: a copy of 16-bit inputs, the square, the scaled value and the product.
    """
    tape.at("norm")
    count = ROWS * s.hidden if size is None else size // s.width
    out, full = count * s.width if size is None else size, count * FULL
    if flow.norm == "layer":
        return tape.hold(out)
    if flow.norm == "layer-fp32":
        return _full_layer_norm(tape, out, full, s.width)
    if flow.norm == "layer-cast":
        if s.width == FULL:
            return tape.hold(out)
        tape.touch(full * 2)
        tape.touch(full + out)
        return tape.hold(out)
    upcast = tape.hold(full if s.width < FULL else NOTHING)
    means = ROWS * ((1 if flow.norm == "rms-bare" else 2) * heads * FULL)
    tape.touch(full + means)
    scaled = tape.hold(full)
    tape.drop(upcast)
    if flow.norm in ("rms-fp32", "rms-bare"):
        product = scaled
        if flow.norm == "rms-fp32":
            product = tape.hold(full)
            tape.drop(scaled)
        if s.width == FULL:
            return product
        tape.hold(out)
        tape.drop(product)
        return out
    rounded = tape.hold(out if s.width < FULL else NOTHING)
    tape.hold(out)
    tape.drop(rounded, scaled)
    return out


def _full_layer_norm(tape: Tape, out: Size, full: Size, width: int) -> Size:
    """Cohere's: a copy in fp32, what deviates from the mean, its square; scaled and weighed."""
    upcast = tape.hold(full if width < FULL else NOTHING)
    tape.touch(full * 2)
    tape.drop(upcast)
    product = tape.hold(full)
    tape.touch(full)
    if width == FULL:
        return product
    tape.hold(out)
    tape.drop(product)
    return out


def mix(tape: Tape, layer: Layer, s: Widths, manner: Manner, precision: ResolvedPrecision) -> Size:
    """Holds attention's output (as wide as the stream) and what lives on beside it; the latter's bytes."""
    tape.at("attention")
    mixer = layer.mixer
    if isinstance(mixer, Attention):
        # What the recurrence gave stays, and what attention reads is scaled.
        beside = NOTHING if layer.beside is None else tape.hold(s.stream * 2)
        mixer = mixer._replace(kv_heads=cached_heads(mixer))
        kept = _attention(tape, mixer, layer.flow, s, manner, precision)
        tape.drop(beside)
        return kept
    if isinstance(mixer, LatentAttention):
        return latent(tape, mixer, layer.flow, s, manner, precision)
    if isinstance(mixer, Recurrent):
        recur(tape, mixer, s, manner)
        return NOTHING
    tape.hold(s.stream)
    return NOTHING


def _attention(
    tape: Tape, mixer: Attention, flow: Flow, s: Widths, manner: Manner, precision: ResolvedPrecision
) -> Size:
    query = ROWS * (mixer.heads * mixer.head_dim * s.width)
    key = ROWS * (mixer.kv_heads * mixer.head_dim * s.width)
    value = ROWS * (mixer.kv_heads * mixer.value_dim * s.width)
    if not mixer.stores_kv:
        key = value = NOTHING
    # What the cache keeps at the end of the pass is its own line item, from the projections on.
    own = NOTHING if manner.caches else key + value
    fused = mixer.fused_qkv
    if flow.one_by_one:
        held = _one_by_one(tape, mixer, flow, s, query, own, key + value)
    else:
        projected = tape.hold(query + own) if fused else _project(tape, mixer, flow, s, query, own, key)
        if fused and mixer.qk_norm:
            projected += norm(tape, flow, s, query, mixer.heads)
            projected += norm(tape, flow, s, key, mixer.kv_heads)
            tape.at("attention")
        held = projected + _turned(tape, mixer, flow, s, query, key, manner)
    if manner.caches:
        fresh = tape.hold(key + value)
        if not mixer.fused_qkv:
            tape.drop(fresh)
        else:
            held += fresh
    elif tape.cache(key, value):
        held -= key if fused else own
    if flow.gated == "first":
        held += tape.hold(ROWS * (mixer.gate * s.width))
    several, masked = manner.several, manner.masked
    call = Call(manner.kernel, precision.compute, several, masked, manner.caches, manner.processor)
    result, probabilities = attend(tape, call, mixer, flow)
    if mixer.gate:
        _gate(tape, mixer, flow, s, result)
    if flow.differential:
        held += _difference(tape, call, mixer, flow, result)
    if flow.norms_last:
        norm(tape, flow, s)
        tape.drop(result)
    if flow.outlives == "both":
        tape.drop(held + result - ROWS * (mixer.heads * mixer.value_dim * s.width))
        tape.hold(s.stream)
        return probabilities
    tape.hold(s.stream)
    # A joint projection is one tensor.
    tape.drop(result, *((held,) if fused else (query, held - query)))
    return probabilities


def _difference(tape: Tape, call: Call, mixer: Attention, flow: Flow, first: Size) -> Size:
    """A second call, whose result is joined to the `first` one's; a part of one half of heads is taken from
    the other, and the difference normed in fp32, two heads at a time. The bytes that this adds."""
    width = DTYPES[call.compute]
    halves = tape.hold(CACHED * (2 * mixer.kv_heads * mixer.value_dim * width))
    second, more = attend(tape, call, mixer, flow)
    joined = tape.hold(first + second)
    tape.drop(first, second)
    tape.touch(first * 2)
    tape.hold(first)
    casts = 2 if width < FULL else 1
    tape.touch(first // width * (casts * FULL) + ROWS * (mixer.heads * FULL))
    tape.touch(first * 2)
    return halves + joined + more


def _gate(tape: Tape, mixer: Attention, flow: Flow, s: Widths, result: Size) -> None:
    """What weighs attention's output: its projection's sigmoid, or, projected `last`, a softplus in fp32."""
    gate = ROWS * (mixer.gate * s.width)
    if flow.gated == "last" and s.width < FULL:
        tape.touch(ROWS * (mixer.gate * 2 * FULL))
    tape.touch(gate * 2)
    tape.touch(gate + result)


def outlived(layer: Layer, s: Widths) -> Size:
    """What attention's last projection reads, where it is held until the output is normed."""
    mixer = layer.mixer
    if layer.flow.outlives == "both" and isinstance(mixer, Attention):
        return ROWS * (mixer.heads * mixer.value_dim * s.width)
    return NOTHING


def _turned(
    tape: Tape, mixer: Attention, flow: Flow, s: Widths, query: Size, key: Size, manner: Manner
) -> Size:
    """Rotates queries and keys; the bytes that this adds to what is held."""
    if not flow.rotary:
        return NOTHING
    rotated = _rotate(tape, flow, s, (query, key))
    if mixer.fused_qkv:
        # Values are a view of the joint projection, which therefore stays.
        kept = key if manner.caches else NOTHING
        tape.drop(kept)
        return rotated - kept
    if flow.keeps_parts:
        return rotated
    tape.drop(query, key)
    _after_rotary(tape, mixer, flow, s, query, key)
    return NOTHING


def _one_by_one(
    tape: Tape, mixer: Attention, flow: Flow, s: Widths, query: Size, own: Size, stored: Size
) -> Size:
    """Queries projected, normed and rotated before keys and values are; the bytes held."""
    cached = stored if own == NOTHING else NOTHING
    tape.drop(cached)
    key = stored.share(mixer.head_dim / (mixer.head_dim + mixer.value_dim))
    for projected, size, heads in ((query, query, mixer.heads), (own + cached, key, mixer.kv_heads)):
        tape.hold(projected)
        if mixer.qk_norm:
            norm(tape, flow, s, size, heads)
            tape.drop(size)
            tape.at("attention")
        if flow.rotary:
            _rotate(tape, flow, s, (size,))
            tape.drop(size)
    return query + own


def _after_rotary(tape: Tape, mixer: Attention, flow: Flow, s: Widths, query: Size, key: Size) -> None:
    """What is done to rotated queries and keys, each of which takes the place of the one before."""
    if flow.after_rotary == "norms" and mixer.qk_norm:
        norm(tape, flow, s, query, mixer.heads)
        tape.drop(query)
        norm(tape, flow, s, key, mixer.kv_heads)
        tape.drop(key)
        tape.at("attention")
    elif flow.after_rotary == "scales":
        tape.touch(query)


def _project(tape: Tape, mixer: Attention, flow: Flow, s: Widths, query: Size, own: Size, key: Size) -> Size:
    """Separate projections, head norms included; the bytes held."""
    normed = mixer.qk_norm and flow.after_rotary != "norms"
    tape.hold(query)
    if flow.scales_query:
        tape.hold(query)
        tape.drop(query)
    if normed:
        norm(tape, flow, s, query, mixer.heads)
        tape.drop(query)
        tape.at("attention")
    if own != NOTHING:
        tape.hold(key)
        tape.hold(own - key)
    if normed:
        norm(tape, flow, s, key, mixer.kv_heads)
        tape.drop(key)
        tape.at("attention")
    return query + own


def _rotate(tape: Tape, flow: Flow, s: Widths, sizes: tuple[Size, ...]) -> Size:
    """apply_rotary_pos_emb: x cos + rotate_half(x) sin of queries, then of keys; the bytes that it adds.

    Where only part of a head turns, or the family joins anew, the parts are concatenated.
    """
    wide = 1 if flow.rotates == "compute" else FULL // s.width
    whole = sum(sizes[1:], sizes[0])
    copies = tape.hold(whole * wide if wide > 1 and flow.rotates == "copies" else NOTHING)
    found = NOTHING
    for size in sizes:
        part = size.share(flow.rotary)
        full = part * wide
        # Where cosines are wider, the processor casts what they multiply first; elsewhere that is no tensor.
        cast = full if wide > 1 and flow.rotates in ("promoted", "cast", "apart") else NOTHING
        tape.touch(cast + full)
        first = tape.hold(full)
        turned = full if flow.rotates in ("copies", "apart") else part
        copy = tape.hold(cast if flow.rotates == "apart" else NOTHING)
        half = tape.hold(turned // 2)
        tape.hold(turned)
        tape.drop(half, copy)
        tape.touch(cast if flow.rotates != "apart" else NOTHING)
        if wide > 1 and flow.rotates == "cast":
            tape.drop(turned)
            turned = NOTHING
        tape.touch((cast if flow.rotates != "apart" else NOTHING) + full)
        tape.hold(full)
        tape.drop(turned)
        tape.hold(full)
        tape.drop(first, full)
        found += full
    if not (flow.joins_rotary or flow.rotary < 1) and wide == 1:
        return found
    if flow.keeps_parts:
        return tape.hold(whole) + found
    for size in sizes:
        tape.hold(size)
        if not flow.joins_both:
            part = size.share(flow.rotary) * wide
            tape.drop(part)
            found -= part
    tape.drop(found + copies)
    return whole
