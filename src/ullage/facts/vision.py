"""The part of a model that reads pictures: an own file, for few models have one."""

# Annotations are not postponed here: NamedTuple would compile every one of them at each start.

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple

from ullage.facts.architecture import Weight
from ullage.facts.pictures import Picture, PictureRule


class TowerFlow(NamedTuple):
    """How tensors pass through a tower's code, as `architecture.Flow` says of a language model's layers.

    `norm` as there; `norms` of them in a layer. `rotary`: angles in fp32 (`full`), in the stream's type
    (`plain`), as complex numbers, or for each axis apart. `calls` of attention: picture by picture (`each`),
    tiles as a batch, and under a mask a batch that is padded, or all pictures as one sequence (`joint`).
    `activation`: one kernel, or the sigmoid of a scaled input (quick GELU). `keeps_states`: every layer's
    output lives on; `keeps_input`: the first one's input. `plain_softmax`: eager scores stay in the stream's
    type. `opening` and `ending` are what happens before the first layer and after the last. `deep_features`
    of inner layers go into the language model too, whose image tokens see those after them where it
    `sees_ahead`. Pixels are given in fp32 (`full_pixels`), or as the model computes.
    """

    norm: Literal["rms", "rms-fp32", "layer"]
    norms: int = 2
    fused_qkv: bool = False
    rotary: Literal["none", "full", "plain", "complex", "each-axis"] = "none"
    calls: Literal["each", "batch", "padded", "joint"] = "batch"
    gated: bool = False
    activation: Literal["kernel", "sigmoid"] = "kernel"
    keeps_states: bool = False
    keeps_input: bool = False
    plain_softmax: bool = False
    opening: Literal["tiles", "joined tiles", "patches", "interpolated"] = "tiles"
    ending: Literal["merged", "convolved", "packed", "pooled", "stripped", "unfolded"] = "merged"
    deep_features: int = 0
    sees_ahead: bool = False
    full_pixels: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class Vision:
    """A vision tower with its projector, whose results are `out` wide and enter the language model.

    `rule` says what a picture of some size is to it.
    """

    hidden_size: int
    intermediate_size: int
    heads: int
    head_dim: int
    layers: int
    out: int
    rule: PictureRule
    flow: TowerFlow
    weights: tuple[Weight, ...]

    def lay(self, size: tuple[int, int]) -> Picture:
        """A picture of `size` (width, height). Raises UnsupportedError for one that the model refuses."""
        return _laid(self.rule, size)


@lru_cache(maxsize=64)
def _laid(rule: PictureRule, size: tuple[int, int]) -> Picture:
    """Asked for thousands of times while a plan is searched for."""
    return rule.lay(*size)
