"""One forward pass: its shape, and the widths of its tensors."""

from __future__ import annotations

from typing import Final, NamedTuple

from ullage.facts.architecture import Attention, Flow

FULL: Final = 4
"""Bytes of an fp32 element, which norms and routers compute in."""


class Pass(NamedTuple):
    """One forward pass: `new` positions of each of `batch` sequences after `cached` earlier ones.

    `masked`: each sequence has its own mask and positions (it is padded on the left). With `caches` keys
    and values are kept: their bytes are the cache's own line item.
    """

    batch: int
    new: int
    cached: int
    kernel: str
    masked: bool
    caches: bool = True

    @property
    def rows(self) -> int:
        return self.batch * self.new


class Widths(NamedTuple):
    """Bytes of the tensors of one pass: the residual stream, and one row of anything."""

    stream: int
    rows: int
    width: int
    hidden: int


def is_masked(mixer: Attention, work: Pass) -> bool:
    """Whether a mask is handed to the kernel: for padding, for a chunk after others, past a window."""
    slides = mixer.window is not None and work.cached + work.new >= mixer.window
    if work.kernel == "blockwise":
        return slides
    if work.kernel == "eager" and work.new > 1:
        return True
    return work.masked or slides or (work.cached > 0 and work.new > 1)


def rotary_bytes(mixer: Attention, flow: Flow, work: Pass, width: int) -> int:
    """Cosines and sines of the pass's positions, which the model's forward holds."""
    rows = work.rows if work.masked else work.new
    return 2 * rows * int(mixer.head_dim * flow.rotary) * width
