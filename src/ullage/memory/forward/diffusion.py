"""Temporaries of a diffusion pipeline, per network."""

from __future__ import annotations

from typing import Final

from ullage.facts.architecture import Component
from ullage.units import Interval

PATCH: Final = 16
"""Pixels per token side: the VAE's factor 8 times the transformer's 2x2 packing."""
PARALLEL_BLOCK_WIDTHS: Final = 12
"""Hidden-width tensors of a parallel attention-and-MLP block at its peak: residual and normed
stream, four of the MLP, the attention output, and their concatenation of five
(diffusers FluxSingleTransformerBlock)."""
DECODER_FEATURE_MAPS: Final = 4
"""Feature maps of a VAE residual block alive together at full resolution: input, normed, activated
and convolved (diffusers ResnetBlock2D); convolution workspaces make the interval wide."""


def component_bytes(
    component: Component, batch: int, width_px: int, height_px: int, text_tokens: int, width: int
) -> Interval:
    """Peak temporaries of one network for `batch` images; `width` is the element size in bytes."""
    if component.kind == "vae":
        channels = max(component.channels[:2], default=128)
        expected = DECODER_FEATURE_MAPS * batch * width_px * height_px * channels * width
        return Interval(expected // 2, expected, expected * 2)
    if component.kind == "transformer":
        tokens = -(-width_px // PATCH) * -(-height_px // PATCH) + text_tokens
        expected = PARALLEL_BLOCK_WIDTHS * batch * tokens * component.hidden_size * width
    else:
        expected = (
            batch * component.tokens * (6 * component.hidden_size + 3 * component.intermediate_size)
        ) * width
    return Interval(expected * 7 // 10, expected, expected * 15 // 10)
