"""The part of a model that reads images: an own file, for few models have one."""

from __future__ import annotations

from dataclasses import dataclass

from ullage.facts.architecture import Weight


@dataclass(frozen=True, slots=True, eq=False)
class Vision:
    """A vision tower with its projector. `tokens_per_image` enter the language model.

    `patches_per_image` is how many positions the tower itself runs over for one such image, tiles
    included; `attended` how many of them one attention call sees at once.
    """

    hidden_size: int
    intermediate_size: int
    heads: int
    layers: int
    gated: bool
    patches_per_image: int
    attended: int
    tokens_per_image: int
    weights: tuple[Weight, ...]
