"""A diffusion pipeline as values: its networks, in the order in which they run."""

# Annotations are not postponed here: NamedTuple would compile every one of them at each start.

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from ullage.facts.checkpoint import Checkpoint


class Component(NamedTuple):
    """One network of a diffusion pipeline.

    `kind` says which formula its activations follow; widths are elements, `channels` the VAE's
    `block_out_channels`. `tokens` is the text length an encoder always pads to; with `inner`, the width of
    all heads of attention, its scores are biased by distances (T5). `kept_full` are parameters that stay
    fp32 where the others are loaded in fp16.
    """

    name: str
    kind: Literal["transformer", "text_encoder", "vae"]
    parameters: int
    hidden_size: int = 0
    intermediate_size: int = 0
    heads: int = 0
    layers: int = 0
    tokens: int = 0
    channels: tuple[int, ...] = ()
    inner: int = 0
    kept_full: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Pipeline:
    """A diffusion pipeline: its networks in the order in which they run."""

    name: str
    model_type: str
    components: tuple[Component, ...]
    dtype: str
    source: str
    checkpoint: "Checkpoint | None" = None

    @property
    def parameters(self) -> int:
        return sum(component.parameters for component in self.components)
