"""Replays a layer's feed-forward part: dense, or experts."""

from __future__ import annotations

from typing import Final

from ullage.facts.architecture import Dense, Experts, Layer
from ullage.memory.forward.matmul import matmul_bytes
from ullage.memory.forward.mixing import norm
from ullage.memory.forward.one_pass import FULL, Manner, Widths
from ullage.memory.forward.tape import NOTHING, ROWS, Tape
from ullage.memory.weights.precision import ResolvedPrecision

CHOICE: Final = 8
"""Bytes of the number of a chosen expert, and of its place among all that were chosen."""


def feed_forward(tape: Tape, layer: Layer, s: Widths, manner: Manner, precision: ResolvedPrecision) -> None:
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
    if unpacking != NOTHING:
        tape.touch(wide, unpacking)
    if multiplying != NOTHING:
        tape.touch(*[wide] * (2 if part.gated else 1), multiplying)
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
    tape.drop(activated, up)
    if layer.flow.norms_last:
        norm(tape, layer.flow, s, wide)
        tape.drop(wide)
    tape.hold(s.stream)
    tape.drop(wide)


def _experts(
    tape: Tape, layer: Layer, moe: Experts, s: Widths, manner: Manner, precision: ResolvedPrecision
) -> None:
    """Tokens gathered once per chosen expert, then the larger of gating and weighting.

    transformers 5's grouped matmul runs all experts of a layer at once (integrations/moe.py): gating
    holds the gathered tokens, gate with up, activation and product (and, clamped, both halves and what they
    become, and maybe a bias); weighting holds the gathered tokens, the projection, and its weighted copy
    twice (once in the old order), in fp32 unless what weighs is narrow. The router's logits stay, its fp32
    probabilities and 64-bit choices too.
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
    tokens, full = gathered * (read * s.width), gathered * (read * (s.width if moe.narrow else FULL))
    tape.touch(tokens, *[gathered * (moe.intermediate * s.width)] * kept)
    tape.touch(tokens, tokens, full, full)
    tape.drop(latent)
    tape.touch(latent)
    tape.drop(router)
    tape.hold(s.stream)
    if shared is not None and not first:
        _dense(tape, layer, shared, s, manner, precision)
    if shared is not None:
        tape.touch(s.stream)
        tape.drop(s.stream)
