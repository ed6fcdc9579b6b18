"""Replays one layer of a vision tower: attention over patches, and its feed-forward part."""

from __future__ import annotations

from typing import Final

from ullage.facts.architecture import Attention
from ullage.facts.flow import Flow
from ullage.facts.vision import Vision
from ullage.memory.forward.attention import Call, attend
from ullage.memory.forward.mixing import norm
from ullage.memory.forward.one_pass import FULL, Widths
from ullage.memory.forward.tape import BLOCK, NOTHING, ROWS, SCORES, Size, Tape

EARLIER: Final = BLOCK
"""Of a tower's amounts: positions of all pictures but the last, where attention goes from one to the next."""


def replay_layer(tape: Tape, vision: Vision, s: Widths, call: Call) -> None:
    """A layer whose input is held by its caller; of all it makes its output alone stays, in its place."""
    flow = Flow(norm=vision.flow.norm)
    sandwich = vision.flow.norms == 4
    normed = norm(tape, flow, s)
    weights = _attention(tape, vision, s, call)
    tape.drop(normed)
    if sandwich:
        norm(tape, flow, s)
        tape.drop(s.stream)
    tape.hold(s.stream)
    tape.drop(s.stream)
    normed = norm(tape, flow, s)
    _feed_forward(tape, vision, s)
    tape.drop(normed)
    if sandwich:
        norm(tape, flow, s)
        tape.drop(s.stream)
    tape.hold(s.stream)
    tape.drop(s.stream * 2 + weights)


def _attention(tape: Tape, vision: Vision, s: Widths, call: Call) -> Size:
    """Holds the projected result; scores that live on in the layer."""
    tape.at("attention")
    flow = vision.flow
    inner = ROWS * (vision.heads * vision.head_dim * s.width)
    if flow.rotary == "each-axis":
        return _rest(tape, vision, s, call, _normed_and_rotated(tape, inner, s))
    held = tape.hold(inner * 3)
    if flow.rotary == "full":
        held += _rotated_in_full(tape, inner, s.width)
    elif flow.rotary == "complex":
        held += _rotated_as_complex(tape, inner, s.width)
        tape.drop(inner * 2)
        held -= inner * 2
    elif flow.rotary == "plain":
        for _ in range(2):
            _turned(tape, inner)
        tape.drop(inner * 2)
    return _rest(tape, vision, s, call, held)


def _rest(tape: Tape, vision: Vision, s: Widths, call: Call, held: Size) -> Size:
    """From queries, keys and values on, of which `held` bytes are; scores that live on in the layer."""
    flow = vision.flow
    inner = ROWS * (vision.heads * vision.head_dim * s.width)
    # Results of the pictures before the last.
    earlier = tape.hold(EARLIER * (vision.heads * vision.head_dim * s.width))
    if flow.plain_softmax and call.kernel == "eager":
        result, weights = _softmaxed_as_it_is(tape, vision, inner, s.width)
    else:
        shape = Attention("full", vision.heads, vision.heads, vision.head_dim, vision.head_dim)
        result, weights = attend(tape, call, shape, Flow())
    tape.drop(earlier)
    if flow.calls == "each":
        tape.drop(weights)
        weights = NOTHING
        result += tape.hold(inner)
    tape.hold(s.stream)
    tape.drop(held + result)
    return weights


def _softmaxed_as_it_is(tape: Tape, vision: Vision, inner: Size, width: int) -> tuple[Size, Size]:
    """Eager attention without fp32: raw scores, scaled ones, probabilities, two of them at a time."""
    scores = tape.hold(SCORES * (vision.heads * width))
    tape.touch(scores)
    tape.hold(inner)
    tape.touch(inner)
    return inner, scores


def _rotated_in_full(tape: Tape, inner: Size, width: int) -> Size:
    """x cos + rotate_half(x) sin in fp32, first queries, then keys; turned back at the end."""
    full = inner * FULL // width
    copies = tape.hold(full * 2 if width < FULL else NOTHING)
    for _ in range(2):
        _turned(tape, full)
    if width < FULL:
        for _ in range(2):
            tape.hold(inner)
            tape.drop(full)
    tape.drop(copies)
    return inner * 2


def _turned(tape: Tape, size: Size) -> None:
    """One of them, the result held."""
    first = tape.hold(size)
    negated = tape.hold(size // 2)
    half = tape.hold(size)
    tape.drop(negated)
    tape.hold(size)
    tape.drop(half)
    tape.hold(size)
    tape.drop(size + first)


def _normed_and_rotated(tape: Tape, inner: Size, s: Widths) -> Size:
    """Each projection normed as it comes; of queries and keys the halves for each axis are turned apart."""
    flow = Flow(norm="rms-fp32")
    for rotated in (True, True, False):
        tape.hold(inner)
        norm(tape, flow, s, inner)
        tape.drop(inner)
        tape.at("attention")
        if rotated:
            for _ in range(2):
                _turned(tape, inner // 2)
            tape.hold(inner)
            tape.drop(inner * 2)
    return inner * 3


def _rotated_as_complex(tape: Tape, inner: Size, width: int) -> Size:
    """Queries and keys as complex fp32 numbers, times the angles'."""
    full = inner * FULL // width
    copies = tape.hold(full * 2 if width < FULL else NOTHING)
    products = tape.hold(full * 2)
    if width == FULL:
        return products
    tape.hold(inner * 2)
    tape.drop(copies + products)
    return inner * 2


def _feed_forward(tape: Tape, vision: Vision, s: Widths) -> None:
    """Holds its result, as wide as the stream."""
    tape.at("feed-forward")
    wide = ROWS * (vision.intermediate_size * s.width)
    tape.hold(wide)
    tape.hold(wide)
    if vision.flow.gated:
        tape.drop(wide)
        tape.hold(wide)
        tape.hold(wide)
        tape.drop(wide * 2)
    elif vision.flow.activation == "sigmoid":
        tape.hold(wide)
        tape.drop(wide)
        tape.hold(wide)
        tape.drop(wide * 2)
    else:
        tape.drop(wide)
    tape.hold(s.stream)
    tape.drop(wide)
