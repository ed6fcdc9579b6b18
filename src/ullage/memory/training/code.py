"""One layer's code in one pass: all that its statements ask for."""

from __future__ import annotations

from typing import NamedTuple

from ullage.facts.architecture import Layer
from ullage.memory.training.linear import Matrix
from ullage.memory.training.routing import Mixture


class Code(NamedTuple):
    """One layer's code in one pass: `batch` sequences of `tokens`, attention by `kernel`, with a mask of each
    sequence's own where it is `masked`.

    `attention` are the matrices of a mixer (queries, keys, values and output, or what is fused of them; those
    to and out of latents), `dense` those of a feed-forward part, `mixture` those of experts. `norm` is the
    width of norms' weights, `trained` says that they are. What has no statements here keeps `opaque` bytes of
    a mixer and of a feed-forward part, whose `weights` elements take gradients.
    """

    layer: Layer
    hidden: int
    batch: int
    tokens: int
    kernel: str
    masked: bool
    attention: tuple[Matrix, ...]
    dense: tuple[Matrix, ...]
    mixture: Mixture | None
    norm: int
    trained: bool
    opaque: tuple[int, int] = (0, 0)
    weights: tuple[int, int] = (0, 0)

    @property
    def rows(self) -> int:
        return self.batch * self.tokens
