"""What becomes of one picture: how each family's processor sizes it, cuts it and counts its tokens.

A rule is a value whose `lay` follows transformers' own image processor (5.19), against which tests/facts hold
it. Sizes are width, height in pixels, as the user has the picture.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Final, NamedTuple, Protocol

from ullage.errors import UnsupportedError

LONGEST_ASPECT: Final = 200
"""How many times longer than short a picture may be for Qwen's and GLM's processors."""


class Picture(NamedTuple):
    """What one picture is to the model.

    The tower runs over `patches` positions, class tokens and padding included, which are `tiles` sequences
    of equal length. `tokens` stand for it in the prompt, breaks and separators included; `features` of them
    are replaced by what the tower gives. `pixels` is elements that the processor hands over.
    """

    patches: int
    tiles: int
    tokens: int
    features: int
    pixels: int


class PictureRule(Protocol):
    """How a family lays out a picture. Raises UnsupportedError for one that its processor refuses."""

    def lay(self, width: int, height: int) -> Picture: ...

    def __hash__(self) -> int: ...


@dataclass(frozen=True)
class SmartResize:
    """Qwen-VL and GLM-4V: both sides to multiples of merged patches, the area between two limits.

    (`smart_resize` of models/qwen2_vl and models/glm4v.) A still picture is repeated over `frames`; with
    `frames_count` they count towards the limits, and a side shorter than a merged patch is enlarged first.
    """

    patch: int
    merge: int
    frames: int
    least_pixels: int
    most_pixels: int
    frames_count: bool = False

    def lay(self, width: int, height: int) -> Picture:
        wide, high = self._resized(width, height)
        patches = (wide // self.patch) * (high // self.patch)
        tokens = patches // self.merge**2
        return Picture(patches, 1, tokens, tokens, patches * 3 * self.frames * self.patch**2)

    def _resized(self, width: float, height: float) -> tuple[int, int]:
        side = self.patch * self.merge
        frames = self.frames if self.frames_count else 1
        if self.frames_count and min(width, height) < side:
            scale = max(side / height, side / width)
            width, height = int(width * scale), int(height * scale)
        if max(width, height) / min(width, height) > LONGEST_ASPECT:
            raise UnsupportedError(f"it is more than {LONGEST_ASPECT} times longer than short")
        wide, high = round(width / side) * side, round(height / side) * side
        if frames * wide * high > self.most_pixels:
            beta = math.sqrt(frames * width * height / self.most_pixels)
            wide = max(side, math.floor(width / beta / side) * side)
            high = max(side, math.floor(height / beta / side) * side)
        elif frames * wide * high < self.least_pixels:
            beta = math.sqrt(self.least_pixels / (frames * width * height))
            wide, high = math.ceil(width * beta / side) * side, math.ceil(height * beta / side) * side
        return wide, high


@dataclass(frozen=True)
class AnyResolution:
    """LLaVA-NeXT: the picture at the best of `resolutions` (height, width) in tiles, and once as a whole.

    Padding is cut off again and each row of features ends with a newline (`_get_number_of_features` of
    models/llava_next/processing_llava_next.py). `classes` positions of a tile are no patches.
    """

    side: int
    patch: int
    classes: int
    resolutions: tuple[tuple[int, int], ...]

    def lay(self, width: int, height: int) -> Picture:
        best_high, best_wide = self._best(width, height)
        down, across = best_high // self.side, best_wide // self.side
        tiles = 1 + -(-best_high // self.side) * -(-best_wide // self.side)
        each = self.side // self.patch
        high, wide = each * down, each * across
        # Rounded to seven digits as there, so that what is whole but for the last digit stays whole.
        if width / height > wide / high:
            high -= (high - int(round(height * (wide / width), 7))) // 2 * 2
        else:
            wide -= (wide - int(round(width * (high / height), 7))) // 2 * 2
        tokens = each**2 + high * wide + high
        return Picture(tiles * (each**2 + self.classes), tiles, tokens, tokens, tiles * 3 * self.side**2)

    def _best(self, width: int, height: int) -> tuple[int, int]:
        """The resolution that keeps most of the picture, and of those the one that wastes least."""

        def worth(resolution: tuple[int, int]) -> tuple[int, int]:
            high, wide = resolution
            scale = min(wide / width, high / height)
            kept = min(int(width * scale) * int(height * scale), width * height)
            return kept, kept - wide * high

        return max(self.resolutions, key=worth)


@dataclass(frozen=True)
class FixedSize:
    """Gemma 3: every picture at one size, its patches pooled to as many tokens."""

    side: int
    patch: int
    tokens: int

    def lay(self, width: int, height: int) -> Picture:
        return Picture((self.side // self.patch) ** 2, 1, self.tokens, self.tokens, 3 * self.side**2)


@dataclass(frozen=True)
class LongestEdge:
    """Mistral 3: shrunk to a longest edge, then up to whole merged patches; a break ends each row.

    (`get_resize_output_image_size` of models/pixtral.)
    """

    patch: int
    merge: int
    longest: int

    def lay(self, width: int, height: int) -> Picture:
        ratio = max(width / self.longest, height / self.longest)
        if ratio > 1:
            width, height = math.floor(width / ratio), math.floor(height / ratio)
        if not width or not height:
            raise UnsupportedError(f"nothing of it is left when its longest edge is {self.longest}")
        side = self.patch * self.merge
        across, down = (width - 1) // side + 1, (height - 1) // side + 1
        features = across * down
        patches = features * self.merge**2
        return Picture(patches, 1, features + down, features, patches * 3 * self.patch**2)


@dataclass(frozen=True)
class BestCanvas:
    """Llama 4: tiles of the canvas of at most `most_tiles` that fits best, and the whole picture as one more.

    (`get_best_fit` of models/llama4/image_processing_llama4.py, which compares scales as fp32.) Separators
    stand between tiles and after each row of them, and three tokens around all. `per_tile` tokens each.
    """

    side: int
    patch: int
    per_tile: int
    most_tiles: int
    largest: bool = False

    def lay(self, width: int, height: int) -> Picture:
        down, across = self._canvas(width, height)
        tiles = down * across
        separators = down * across if tiles > 1 else 0
        tiles += 1 if tiles > 1 else 0
        features = tiles * self.per_tile
        patches = tiles * ((self.side // self.patch) ** 2 + 1)
        return Picture(patches, tiles, features + separators + 3, features, tiles * 3 * self.side**2)

    @cached_property
    def _canvases(self) -> tuple[tuple[int, int], ...]:
        """Tiles (down, across) of every canvas, those of one aspect together, in transformers' order."""
        found: dict[float, list[tuple[int, int]]] = {}
        for count in range(self.most_tiles, 0, -1):
            for down in range(1, count + 1):
                if count % down == 0:
                    across = count // down
                    found.setdefault(down / across, []).append((down, across))
        return tuple(canvas for canvases in found.values() for canvas in canvases)

    def _canvas(self, width: int, height: int) -> tuple[int, int]:
        scales = {canvas: self._scale(canvas, width, height) for canvas in self._canvases}
        larger = [scale for scale in scales.values() if scale >= 1]
        wanted = min(larger) if larger and not self.largest else max(scales.values())
        fitting = [canvas for canvas, scale in scales.items() if scale == wanted]
        return min(fitting, key=lambda canvas: canvas[0] * canvas[1])

    def _scale(self, canvas: tuple[int, int], width: int, height: int) -> float:
        return min(_single(canvas[1] * self.side / width), _single(canvas[0] * self.side / height))


@dataclass(frozen=True)
class TokenBudget:
    """Gemma 4: as large as a budget of tokens allows, both sides multiples of pooled patches.

    (`get_aspect_ratio_preserving_size` of models/gemma4.) The tower runs over the whole budget, padded.
    """

    patch: int
    pool: int
    most_tokens: int

    def lay(self, width: int, height: int) -> Picture:
        side = self.patch * self.pool
        most = self.most_tokens * self.pool**2
        factor = math.sqrt(most * self.patch**2 / (width * height))
        across, down = (math.floor(factor * length / side) for length in (width, height))
        if not across and not down:
            raise UnsupportedError("nothing of it is left within its budget of tokens")
        if not down:
            down, across = 1, min(width // height, self.most_tokens)
        elif not across:
            across, down = 1, min(height // width, self.most_tokens)
        tokens = across * down
        return Picture(most, 1, tokens, tokens, most * 3 * self.patch**2)


@dataclass(frozen=True)
class UnknownRule:
    """A family, or a setting of its processor, whose pictures nobody has read yet."""

    why: str

    def lay(self, width: int, height: int) -> Picture:
        raise UnsupportedError(self.why)


def _single(value: float) -> float:
    """`value` as an fp32 keeps it."""
    import struct

    return float(struct.unpack("f", struct.pack("f", value))[0])


def pairs(value: object) -> Iterator[tuple[int, int]]:
    """The pairs of whole numbers in a list of lists; nothing for what is no such list."""
    for each in value if isinstance(value, list) else ():
        if isinstance(each, list) and len(each) == 2:
            first, second = each
            if isinstance(first, int) and isinstance(second, int) and first > 0 and second > 0:
                yield first, second
