"""Replays a layer's norms and its attention, latent attention or recurrence."""

from __future__ import annotations

from ullage.facts.architecture import Attention, Flow, LatentAttention, Layer, Recurrent
from ullage.memory.forward.attention import Call, attend
from ullage.memory.forward.one_pass import FULL, Manner, Widths
from ullage.memory.forward.tape import NOTHING, ROWS, Size, Tape
from ullage.memory.weights.precision import ResolvedPrecision


def norm(tape: Tape, flow: Flow, s: Widths, elements: Size | None = None) -> Size:
    """A norm of `elements` (the stream's unless given); the bytes of its result, which stays held.

    RMS norms compute in fp32: a copy of 16-bit inputs, the square, the scaled value and the product.
    """
    tape.at("norm")
    count = ROWS * s.hidden if elements is None else elements
    out, full = count * s.width, count * FULL
    if flow.norm == "layer":
        return tape.hold(out)
    upcast = tape.hold(full if s.width < FULL else NOTHING)
    tape.touch(full)
    scaled = tape.hold(full)
    tape.drop(upcast)
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
    tape.drop(scaled + rounded)
    return out


def mix(tape: Tape, layer: Layer, s: Widths, manner: Manner, precision: ResolvedPrecision) -> Size:
    """Holds attention's output (as wide as the stream) and what lives on beside it; the latter's bytes."""
    tape.at("attention")
    mixer = layer.mixer
    if isinstance(mixer, Attention):
        return _attention(tape, mixer, layer.flow, s, manner, precision)
    if isinstance(mixer, LatentAttention):
        _latent(tape, mixer, s, manner, precision)
    elif isinstance(mixer, Recurrent):
        tape.at("recurrence")
        # Input projection, convolution and scan with the fused kernels (mamba-ssm, fla) installed.
        tape.touch(ROWS * ((mixer.projected + 3 * mixer.inner) * s.width))
    tape.hold(s.stream)
    return NOTHING


def _attention(
    tape: Tape, mixer: Attention, flow: Flow, s: Widths, manner: Manner, precision: ResolvedPrecision
) -> Size:
    query = ROWS * (mixer.heads * mixer.head_dim * s.width)
    key = ROWS * (mixer.kv_heads * mixer.head_dim * s.width)
    value = ROWS * (mixer.kv_heads * mixer.value_dim * s.width)
    # What the cache keeps at the end of the pass is its own line item, from the projections on.
    own = NOTHING if manner.caches else key + value
    fused = mixer.fused_qkv
    projected = tape.hold(query + own) if fused else _project(tape, mixer, flow, s, query, own, key)
    if flow.rotary:
        rotated = _rotate(tape, flow, query, key)
        if mixer.fused_qkv:
            # Values are a view of the joint projection, which therefore stays.
            kept = key if manner.caches else NOTHING
            held = projected + rotated - kept
            tape.drop(kept)
        else:
            tape.drop(query + key)
            held = projected
    else:
        held = projected
    if manner.caches:
        fresh = tape.hold(key + value)
        if not mixer.fused_qkv:
            tape.drop(fresh)
        else:
            held += fresh
    call = Call(manner.kernel, precision.compute, manner.several, manner.masked)
    result, probabilities = attend(tape, call, mixer, flow)
    tape.hold(s.stream)
    tape.drop(held + result)
    return probabilities


def _project(tape: Tape, mixer: Attention, flow: Flow, s: Widths, query: Size, own: Size, key: Size) -> Size:
    """Separate projections, head norms included; the bytes held."""
    tape.hold(query)
    if flow.scales_query:
        tape.hold(query)
        tape.drop(query)
    if mixer.qk_norm:
        norm(tape, flow, s, query // s.width)
        tape.drop(query)
        tape.at("attention")
    tape.hold(own)
    if mixer.qk_norm:
        norm(tape, flow, s, key // s.width)
        tape.drop(key)
        tape.at("attention")
    return query + own


def _rotate(tape: Tape, flow: Flow, query: Size, key: Size) -> Size:
    """apply_rotary_pos_emb: x cos + rotate_half(x) sin of queries, then of keys; their bytes.

    Where only part of a head turns, or the family joins anew, the parts are concatenated.
    """
    found = []
    for size in (query, key):
        part = size.share(flow.rotary)
        first = tape.hold(part)
        half = tape.hold(part // 2)
        turned = tape.hold(part)
        tape.drop(half)
        tape.hold(part)
        tape.drop(turned)
        tape.hold(part)
        tape.drop(first + part)
        found.append(part)
    if flow.joins_rotary:
        for part, size in zip(found, (query, key), strict=True):
            tape.hold(size)
            tape.drop(part)
    return query + key


def _latent(
    tape: Tape, mixer: LatentAttention, s: Widths, manner: Manner, precision: ResolvedPrecision
) -> None:
    """Queries twice (rotary parts joined), the up-projected keys and values, then the kernel."""
    head = mixer.nope_dim + mixer.rope_dim
    query = ROWS * (mixer.heads * head * s.width)
    lifted = tape.hold(ROWS * (mixer.heads * (mixer.nope_dim + mixer.value_dim) * s.width))
    tape.hold(query)
    tape.touch(query)
    shape = Attention("full", mixer.heads, mixer.heads, head, mixer.value_dim)
    call = Call(manner.kernel, precision.compute, manner.several, manner.padded)
    result, _ = attend(tape, call, shape, Flow())
    tape.touch(s.stream)
    tape.drop(lifted + query + result)
