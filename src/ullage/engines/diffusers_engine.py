"""Pictures by a diffusers pipeline in this process."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ullage.engines.engine import Failure
from ullage.engines.painter import Canvas, Painting
from ullage.errors import InputError, UnsupportedError
from ullage.facts.pipeline import T5_TOKENS
from ullage.runtime.pipeline import Networks

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

    from ullage.runtime.loader import Loaded


class DiffusersEngine:
    """One loaded pipeline that paints.

    Invariant: a picture is the one that a direct call of the pipeline gives, with a generator of its seed on
    the processor; it depends on the batch it is in by the rounding of matrix products alone.
    """

    def __init__(self, loaded: Loaded, name: str) -> None:
        """`name` is the model's, for messages."""
        assert isinstance(loaded.model, Networks)
        self._pipeline, self._name = loaded.model.pipeline, name
        self._compute = loaded.precision.compute

    @property
    def grain(self) -> int:
        """Pixels of which both sides of a picture are multiples."""
        return 2 * int(self._pipeline.vae_scale_factor)

    def paint(self, prompts: Sequence[str], canvas: Canvas, seeds: Sequence[int]) -> list[Painting | Failure]:
        """A picture for each prompt, all in one batch. Pixels that are no numbers make no picture.

        Raises UnsupportedError for a size the pipeline would round, InputError for an empty prompt.
        """
        import torch

        self._check(prompts, canvas)
        width, height = canvas.size
        generators = [torch.Generator("cpu").manual_seed(seed) for seed in seeds]
        with torch.inference_mode():
            found = self._pipeline(
                prompt=list(prompts),
                width=width,
                height=height,
                num_inference_steps=canvas.steps,
                generator=generators,
                output_type="np",
            ).images
        cuts = [self._cut(prompt) for prompt in prompts]
        return [self._painting(*each, canvas) for each in zip(found, seeds, cuts, strict=True)]

    def _check(self, prompts: Sequence[str], canvas: Canvas) -> None:
        wrong = [side for side in canvas.size if side % self.grain]
        if wrong:
            raise UnsupportedError(
                f"{self._name}: paints pictures whose sides are multiples of {self.grain} pixels, and "
                f"{wrong[0]} is none: image_size: {canvas.size[0]}x{canvas.size[1]}"
            )
        if not all(prompt.strip() for prompt in prompts):
            raise InputError("a prompt is empty; there is nothing to paint")

    def _painting(
        self, pixels: NDArray[np.float32], seed: int, cut: int, canvas: Canvas
    ) -> Painting | Failure:
        """Of pixels (height, width, 3) from 0 to 1."""
        import numpy as np

        if not np.isfinite(pixels).all():
            return Failure(f"pixels are not finite in {self._compute}; another precision may hold them")
        image: Image = self._pipeline.image_processor.numpy_to_pil(pixels[None])[0]
        file = io.BytesIO()
        image.save(file, "PNG")
        return Painting(file.getvalue(), canvas, seed, cut)

    def _cut(self, prompt: str) -> int:
        """Tokens beyond those that the longest encoder reads."""
        tokens = len(self._pipeline.tokenizer_2(prompt, truncation=False).input_ids)
        return max(tokens - T5_TOKENS, 0)
