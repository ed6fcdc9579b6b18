"""Temporaries of a vision tower, which runs before the language model sees the image tokens."""

from __future__ import annotations

from typing import Final

from ullage.facts.architecture import Attention, Flow
from ullage.facts.vision import Vision
from ullage.memory.forward.attention import Call, attend
from ullage.memory.forward.tape import Amounts, Tape
from ullage.units import Interval

PIXEL_BYTES: Final = 3 * 14 * 14 * 4
"""fp32 pixels of one 14x14 patch, which the processor hands over."""


def tower_bytes(vision: Vision, images: int, kernel: str, compute: str) -> Interval:
    """Peak of the tower over `images` images: streams and the larger of attention and MLP.

    `attended` positions see one another; towers with windows or tiles run them as a batch.
    """
    width = 4 if compute == "fp32" else 2
    patches = images * vision.patches_per_image
    groups = -(-patches // max(vision.attended, 1))
    head = vision.hidden_size // max(vision.heads, 1)
    shape = Attention("full", vision.heads, vision.heads, head, head)
    tape = Tape()
    result, _ = attend(tape, Call(kernel, compute, vision.attended > 1, False), shape, Flow())
    rows = groups * vision.attended
    amounts = Amounts(1, vision.attended, rows, rows, rows * vision.attended)
    scores = max(moment.live.of(amounts) for moment in tape.largest()) - result.of(amounts)
    tensors = 3 if vision.gated else 2
    inside = max(
        tensors * patches * vision.intermediate_size * width,
        4 * patches * vision.hidden_size * width + scores,
    )
    expected = 3 * patches * vision.hidden_size * width + inside + patches * PIXEL_BYTES
    return Interval(expected * 8 // 10, expected, expected * 15 // 10)
