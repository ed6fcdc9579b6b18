"""What a vision tower needs, which runs before the language model sees the image tokens.

As in `activations`, code is replayed: the statements of transformers' towers (5.19), whose families differ as
`TowerFlow` says. Layers are one after the other, so one of them is replayed, the last, for what came before
may live on. Held against torch's profiler for eight families in tests/memory.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple

from ullage.facts.dtypes import DTYPES
from ullage.facts.flow import Flow
from ullage.facts.pictures import Picture
from ullage.facts.vision import Vision
from ullage.memory.forward.attention import QUADRATIC, Call
from ullage.memory.forward.mixing import norm
from ullage.memory.forward.one_pass import FULL, Widths
from ullage.memory.forward.tape import BLOCKS, NEW, NOTHING, ROWS, SCORES, Amounts, Moment, Size, Tape
from ullage.memory.forward.tower_layer import replay_layer
from ullage.units import Interval

FEATURES: Final = NEW
"""Of a tower's amounts: positions of the language model that it gives."""
PIXELS: Final = BLOCKS
"""Of a tower's amounts: elements that the image processor hands over."""
SPREAD: Final = {True: (75, 115), False: (70, 115)}
"""Low and high share of a tower's expected temporaries, in percent, by whether its kernel holds scores.

Of a score 8 bytes are alive where fp16 is softmaxed as it is, or torch is older, and 10 in bf16. Without
scores fp32 copies that are rotated count most, where flash-attn's own kernel needs none: 73 % were reported.
"""
POSITION_BYTES: Final = 16
"""Row and column of a patch, as int64."""
INTERPOLATION_BYTES: Final = 48
"""Indices (int64) and weights (fp32) of the four learned positions around a patch."""


class Tower(NamedTuple):
    """Bytes: `running` are alive at most while it runs, beside the `pixels` it is given, and `kept` until the
    language model is through: what it gave, and what its callers hold on to."""

    running: Interval
    pixels: int
    kept: int


def tower_bytes(
    vision: Vision, picture: Picture, images: int, kernel: str, compute: str, on_processor: bool = False
) -> Tower:
    """What a tower needs for `images` pictures laid out alike, by one kernel."""
    low, high = SPREAD[kernel in QUADRATIC]
    if kernel == "blockwise":
        kernel = "sdpa"
    amounts = _amounts(vision, picture, images)
    moments, kept = _replay(vision, kernel, compute, on_processor)
    most = max(moment.live.of(amounts) for moment in moments)
    running = Interval(most * low // 100, most, most * high // 100)
    pixels = amounts.blocks * (FULL if vision.flow.full_pixels else DTYPES[compute])
    return Tower(running, pixels, kept.of(amounts))


def scattered_bytes(rows: int, hidden: int, width: int, on_processor: bool) -> int:
    """What `masked_scatter` allocates to put features among `rows` embeddings: the result, on a GPU the
    expanded mask and its running count as int64 too (ATen/native/cuda/IndexKernel.cpp of torch 2.11)."""
    return rows * hidden * (width + (0 if on_processor else 1 + 8))


def _amounts(vision: Vision, picture: Picture, images: int) -> Amounts:
    """Positions, features and pixels of all pictures, and the scores that one call of attention holds."""
    rows = images * picture.patches
    length = picture.patches // picture.tiles
    scores = {
        "each": length**2,
        "batch": images * picture.tiles * length**2,
        "padded": images * length**2,
        "joint": rows**2,
    }[vision.flow.calls]
    earlier = rows - picture.patches if vision.flow.calls == "each" else 0
    return Amounts(1, images * picture.features, rows, rows, scores, earlier, images * picture.pixels)


@lru_cache(maxsize=64)
def _replay(vision: Vision, kernel: str, compute: str, on_processor: bool) -> tuple[tuple[Moment, ...], Size]:
    """The largest moments of a tower, and what outlives it."""
    width = DTYPES[compute]
    hidden, flow = vision.hidden_size, vision.flow
    s = Widths(ROWS * (hidden * width), width, hidden)
    tape = Tape()
    beside = _open(tape, vision, s, on_processor)
    if kernel != "flash" and flow.calls in ("joint", "padded"):
        # The mask of patches is a float one already where all pictures are one sequence.
        bool_mask = flow.calls == "padded" and kernel != "eager"
        beside += tape.hold(SCORES * (1 if bool_mask else width))
    states = tape.hold(s.stream * (vision.layers - 1 if flow.keeps_states else 0))
    beside += tape.hold(s.stream if flow.keeps_input else NOTHING)
    masked = flow.calls == "padded" or (flow.calls == "joint" and kernel == "eager")
    replay_layer(tape, vision, s, Call(kernel, compute, False, masked))
    tape.drop(beside)
    return tape.largest(), _end(tape, vision, s) + states


def _open(tape: Tape, vision: Vision, s: Widths, on_processor: bool) -> Size:
    """From pixels to the first layer's input, which is held; what lives beside it as long as layers run."""
    flow = vision.flow
    cast = PIXELS * s.width if s.width < FULL else NOTHING
    beside = NOTHING
    if flow.opening in ("tiles", "joined tiles"):
        beside += tape.hold(PIXELS * FULL if flow.opening == "joined tiles" else NOTHING)
        tape.touch(cast + s.stream)
    else:
        beside += tape.hold(cast)
    tape.hold(s.stream)
    tape.touch(s.stream)
    if flow.opening == "interpolated":
        # Four neighbours of each patch, weighed in fp32; a processor turns them into that first.
        copies = 2 if on_processor and s.width < FULL else 1
        tape.touch(ROWS * (4 * vision.hidden_size * (s.width + copies * FULL)))
        beside += tape.hold(ROWS * (vision.hidden_size * FULL + INTERPOLATION_BYTES))
        tape.touch(s.stream * 2)
    if flow.rotary in ("full", "plain"):
        beside += tape.hold(ROWS * POSITION_BYTES)
    if flow.rotary != "none" and flow.rotary != "complex":
        angle = FULL if flow.rotary == "full" else s.width
        beside += tape.hold(ROWS * (2 * vision.head_dim * angle))
    if flow.calls == "joint":
        # Patches of all pictures are views of the convolution's result.
        beside += tape.hold(s.stream)
    return beside + tape.hold(FEATURES * (flow.deep_features * vision.out * s.width))


def _end(tape: Tape, vision: Vision, s: Widths) -> Size:
    """From the last layer's output, which is held, to what enters the language model; what outlives it.

    The language model's own code joins what it was given anew (`torch.cat`), but for Gemma 3's.
    """
    given = FEATURES * (vision.out * s.width)
    ending = vision.flow.ending
    if ending == "packed":
        # Projected features of all tiles, laid out as one, with newlines, and joined with the base image's.
        tape.touch(given * 4)
    elif ending in ("unfolded", "merged"):
        normed = norm(tape, Flow(norm=vision.flow.norm), s)
        tape.touch(s.stream * 2)
        tape.touch(s.stream + given)
        tape.touch(given * 2)
        tape.drop(normed)
    else:
        tape.touch(s.stream * 2)
        tape.touch(given * 3)
    if ending == "stripped":
        return FEATURES * (vision.hidden_size * s.width) + given * 2
    if ending == "convolved":
        return given * 3
    deep = given * (2 * vision.flow.deep_features)
    states = s.stream * (2 if vision.flow.keeps_states else 1)
    return states + given * (1 if ending == "pooled" else 2) + deep
