"""Temporaries of a diffusion pipeline, per network.

The statements of diffusers' Flux (0.42) and transformers' CLIP and T5 (5.19) were counted; tests/memory holds
the sums against what is alive while small networks run on a processor. What kernels take inside one call is
not seen there, so the high values leave room for it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from ullage.facts.diffusion import Component
from ullage.facts.dtypes import DTYPES
from ullage.units import Interval

PACKED: Final = 2
"""Latents along each side that make one of the transformer's positions (FluxPipeline._pack_latents)."""
BUCKETS: Final = 49
"""Bytes of a pair of positions while T5 sorts their distances into buckets: six tensors of int64 and a
condition (T5Attention._relative_position_bucket)."""
PAIRS: Final = 16
"""Those that are left when the buckets' biases are looked up: distances and buckets, int64."""
SPREAD: Final = {"text_encoder": (90, 130), "transformer": (90, 130), "vae": (90, 200)}
"""Low and high share of what is expected, in percent. A convolution's workspace is another map or two."""


def position_pixels(components: Iterable[Component]) -> int:
    """Pixels along a side of one of the transformer's positions: a VAE halves each side once a level."""
    levels = next((len(each.channels) for each in components if each.kind == "vae"), 4)
    return PACKED << (levels - 1)


def text_bytes(encoders: Iterable[Component], batch: int, text_tokens: int, width: int) -> int:
    """What the encoders gave, alive until the picture is done: all states of the longest, one of another."""
    states = max((each.hidden_size for each in encoders), default=0)
    return batch * (text_tokens + 1) * states * width


def component_bytes(
    component: Component,
    batch: int,
    size: tuple[int, int],
    pixels: int,
    text_tokens: int,
    compute: str,
) -> Interval:
    """Peak temporaries of one network for `batch` images of `size`; `pixels` as `position_pixels` gives."""
    if component.kind == "vae":
        expected = _decoder(component, batch, size, DTYPES[compute])
    elif component.kind == "transformer":
        positions = -(-size[0] // pixels) * -(-size[1] // pixels) + text_tokens
        expected = _transformer(component, batch, positions, compute)
    elif component.inner:
        expected = _t5(component, batch, compute)
    else:
        # quick GELU's input, its scaled copy and the sigmoid beside the stream (CLIPMLP).
        wide = 4 * component.hidden_size + 3 * component.intermediate_size
        expected = batch * component.tokens * wide * DTYPES[compute]
    low, high = SPREAD[component.kind]
    return Interval(expected * low // 100, expected, expected * high // 100)


def _transformer(component: Component, batch: int, positions: int, compute: str) -> int:
    """A single-stream block where keys are rotated: the stream of text and picture, its norm, the MLP's four,
    queries, keys and values, and rotation in fp32; and the tables of angles, one for the batch."""
    width = DTYPES[compute]
    streams = 15 if compute == "fp32" else 17
    angles = 2 * (component.hidden_size // component.heads) * DTYPES["fp32"]
    return positions * (batch * streams * component.hidden_size * width + angles)


def _t5(component: Component, batch: int, compute: str) -> int:
    """The largest of three moments: distances are sorted into buckets, attention runs beside the biases that
    every layer shares, and the gated MLP (in fp16 its product once more, in fp32, for `wo`)."""
    width, tokens = DTYPES[compute], component.tokens
    row = batch * tokens * width
    biases = component.heads * tokens**2 * width
    beside = row * (3 * component.inner + 2 * component.hidden_size)
    sorting = max(BUCKETS * tokens**2, biases + PAIRS * tokens**2) + beside
    attention = biases + row * (5 * component.inner + 2 * component.hidden_size)
    wide = (5 if compute == "fp16" else 4) * component.intermediate_size + 4 * component.hidden_size
    return max(sorting, attention, biases + row * wide)


def _decoder(component: Component, batch: int, size: tuple[int, int], width: int) -> int:
    """At full resolution: a residual block's input, its norm and the activation of it, as wide as the level
    before; or five maps as wide as the last level (ResnetBlock2D)."""
    last, before = (*component.channels[:2], component.channels[0])[:2] if component.channels else (128, 256)
    return batch * size[0] * size[1] * max(3 * before, 5 * last) * width
