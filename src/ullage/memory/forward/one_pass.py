"""One forward pass: its shape, and the widths of its tensors."""

from __future__ import annotations

from typing import Final, NamedTuple

from ullage.facts.architecture import Attention, LatentAttention, Layer, Recurrent
from ullage.facts.flow import Flow
from ullage.memory.forward.streaming import block_keys
from ullage.memory.forward.tape import NEW, ROWS, Amounts, Size

FULL: Final = 4
"""Bytes of an fp32 element, which norms and routers compute in."""


class Pass(NamedTuple):
    """One forward pass: `new` positions of each of `batch` sequences after `cached` earlier ones.

    `masked`: each sequence has its own mask and positions (it is padded on the left). With `caches` keys
    and values are kept: their bytes are the cache's own line item. On a `processor` some operators need
    more than on a GPU.
    """

    batch: int
    new: int
    cached: int
    kernel: str
    masked: bool
    caches: bool = True
    processor: bool = False

    @property
    def rows(self) -> int:
        return self.batch * self.new


class Manner(NamedTuple):
    """How a layer's code is taken in a pass, whatever the sizes: all that its branches ask for.

    `masked`: its kernel is given a mask. `padded`: each sequence has its own positions. With `caches` keys
    and values are kept; `several` positions a sequence are new; `unpacks` says that quantized weights are
    turned into the compute dtype first.
    """

    kernel: str
    masked: bool
    padded: bool
    caches: bool
    several: bool
    unpacks: bool
    processor: bool


class Widths(NamedTuple):
    """Bytes of the residual stream and of one element, and elements of one row of it."""

    stream: Size
    width: int
    hidden: int


def is_masked(mixer: Attention | LatentAttention, work: Pass) -> bool:
    """Whether a mask is handed to the kernel: for padding, for a chunk after others, past a window."""
    window = mixer.window if isinstance(mixer, Attention) else None
    slides = window is not None and work.cached + work.new >= window
    if work.kernel == "blockwise":
        return slides
    if isinstance(mixer, Attention) and not mixer.causal:
        return work.masked or slides
    if work.kernel == "eager" and work.new > 1:
        return True
    return work.masked or slides or (work.cached > 0 and work.new > 1)


def rotary_bytes(mixer: Attention, flow: Flow, padded: bool, width: int) -> Size:
    """Cosines and sines of the pass's positions, which the model's forward holds."""
    return (ROWS if padded or flow.rotates_each else NEW) * (2 * int(mixer.head_dim * flow.rotary) * width)


def attended(mixer: Attention | LatentAttention, work: Pass) -> int:
    """Positions that each new one may attend to, all new ones with them."""
    window = mixer.window if isinstance(mixer, Attention) else None
    return (work.cached if window is None else min(work.cached, window - 1)) + work.new


def amounts_of(layer: Layer, work: Pass) -> Amounts:
    """What the tensors of one layer are multiples of in a pass."""
    mixer, (batch, new, _, kernel, *_) = layer.mixer, work
    if isinstance(mixer, Recurrent):
        chunks = -(-new // mixer.chunk) if mixer.chunk else 0
        padded = batch * (chunks * mixer.chunk or new)
        return Amounts(1, new, batch * new, padded, padded * mixer.chunk, batch * chunks, batch)
    if not isinstance(mixer, Attention | LatentAttention):
        return Amounts(1, new, batch * new, 0, 0)
    keys = attended(mixer, work)
    if isinstance(mixer, Attention) and mixer.distances:
        return Amounts(1, new, batch * new, batch * keys, batch * new * keys, new * keys, batch)
    if kernel != "blockwise":
        return Amounts(1, new, batch * new, batch * keys, batch * new * keys)
    block = new * min(block_keys(batch, mixer.heads, new), keys)
    return Amounts(1, new, batch * new, batch * keys, batch * new * keys, block, batch * block)
