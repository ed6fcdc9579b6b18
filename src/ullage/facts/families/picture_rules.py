"""Which rule a family's pictures follow, with the limits of its image processor.

A model's `preprocessor_config` (of that file, or `processor_config.json`) outweighs what is said here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, cast

from ullage.facts.families.fields import Fields
from ullage.facts.pictures import (
    AnyResolution,
    BestCanvas,
    FixedSize,
    LongestEdge,
    PictureRule,
    SmartResize,
    TokenBudget,
    UnknownRule,
    pairs,
)

QWEN2_PIXELS: Final = (56 * 56, 16_384 * 28 * 28)
"""Least and most pixels in the preprocessor_config.json of Qwen2.5-VL's checkpoints: 4 to 16,384 tokens."""
QWEN3_PIXELS: Final = (256 * 256, 4096 * 4096)
"""In those of Qwen3-VL and Qwen3.5: 64 to 16,384 tokens."""
GLM_PIXELS: Final = (112 * 112, 28 * 28 * 15_000)
"""transformers' own for GLM-4V, frames counted (Glm4vImageProcessorPil)."""
LLAVA_RESOLUTIONS: Final = ((336, 672), (672, 336), (672, 672), (1008, 336), (336, 1008))
"""transformers' own for LLaVA-NeXT (LlavaNextConfig.image_grid_pinpoints)."""
MOST_TILES: Final = 16
"""transformers' own for Llama 4 (Llama4ImageProcessor.max_patches)."""
SOFT_TOKENS: Final = (70, 140, 280, 560, 1120)
"""Budgets that Gemma 4's processor takes."""


def _processor(fields: Fields) -> Fields:
    """The settings of the model's image processor, as far as they are known."""
    given = fields.raw("preprocessor_config")
    given = given if isinstance(given, dict) else {}
    return Fields(cast("Mapping[str, object]", given), {}, f"{fields.model}: preprocessor_config")


def _part(fields: Fields, name: str) -> Fields:
    given = fields.raw(name)
    return Fields(given if isinstance(given, dict) else {}, {}, f"{fields.model}.{name}")


def _unlike(processor: Fields, off: str = "") -> UnknownRule | None:
    """A processor that is set to do something else than its rule."""
    if processor.raw("do_resize") is False:
        return UnknownRule("its processor's do_resize is off, so sizes are no multiples of patches")
    if off and processor.raw(off):
        return UnknownRule(f"its processor's {off} is on, and the crops it cuts are not known here")
    return None


def smart_resize(
    fields: Fields, tower: Fields, least: int, most: int, frames_count: bool = False
) -> PictureRule:
    processor = _processor(fields)
    edges = _part(processor, "size")
    least = processor.optional("min_pixels") or edges.optional("shortest_edge", "min_pixels") or least
    most = processor.optional("max_pixels") or edges.optional("longest_edge", "max_pixels") or most
    patch, merge = tower.size("patch_size"), tower.size("spatial_merge_size")
    frames = tower.size("temporal_patch_size")
    rule = SmartResize(patch, merge, frames, least, most, frames_count)
    return _unlike(processor) or rule


def tiles(fields: Fields, tower: Fields, classes: int) -> PictureRule:
    """LLaVA-NeXT's; refused where the resolutions are not whole tiles."""
    side = tower.size("image_size")
    given = fields.raw("image_grid_pinpoints") or tower.raw("image_grid_pinpoints")
    found = tuple(pairs(given)) or LLAVA_RESOLUTIONS
    if any(length % side for pair in found for length in pair):
        why = f"the resolutions its image_grid_pinpoints list are needed, in tiles of {side} pixels"
        return UnknownRule(why)
    rule = AnyResolution(side, tower.size("patch_size"), classes, found)
    return _unlike(_processor(fields)) or rule


def fixed(fields: Fields, tower: Fields) -> PictureRule:
    tokens = fields.size("mm_tokens_per_image")
    rule = FixedSize(tower.size("image_size"), tower.size("patch_size"), tokens)
    return _unlike(_processor(fields), "do_pan_and_scan") or rule


def longest_edge(fields: Fields, tower: Fields, merge: int) -> PictureRule:
    processor = _processor(fields)
    longest = _part(processor, "size").optional("longest_edge") or tower.size("image_size")
    return _unlike(processor) or LongestEdge(tower.size("patch_size"), merge, longest)


def token_budget(fields: Fields, tower: Fields, patch: int, pool: int) -> PictureRule:
    processor = _processor(fields)
    tokens = processor.optional("max_soft_tokens") or tower.optional("default_output_length") or 280
    if tokens not in SOFT_TOKENS:
        raise processor.wrong("max_soft_tokens", tokens, f"one of {', '.join(map(str, SOFT_TOKENS))}")
    return _unlike(processor) or TokenBudget(patch, pool, tokens)


def canvas(fields: Fields, tower: Fields, shuffle: int) -> PictureRule:
    processor = _processor(fields)
    side, patch = tower.size("image_size"), tower.size("patch_size")
    most = processor.optional("max_patches") or MOST_TILES
    per_tile = (side // patch) ** 2 // shuffle**2
    return _unlike(processor) or BestCanvas(
        side, patch, per_tile, most, processor.flag("resize_to_max_canvas")
    )
