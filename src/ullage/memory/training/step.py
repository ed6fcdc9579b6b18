"""The moments of a training step: what each layer keeps, and what is there at the fullest of the way back."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from ullage.memory.training.autograd import Meter, backward, leaf
from ullage.memory.training.code import Code
from ullage.memory.training.layer import run
from ullage.memory.training.loss import Scores, loss
from ullage.memory.training.norms import normed


class Manner(NamedTuple):
    """How a step is taken: `stream` bytes an element of what layers hand on; `autocast` bytes an element, or
    0; whether layers are run `again` on the way back; on a `processor`."""

    stream: int
    autocast: int
    again: bool
    processor: bool


class Moments(NamedTuple):
    """Bytes of one part of a model. `kept` from its forward pass to its way back; `casts` until the whole
    forward pass is over; `forward` and `back` beside what is kept at the fullest moment of either;
    `gradients` of its parameters that `back` leaves."""

    kept: int
    casts: int
    forward: int
    back: int
    gradients: int


@lru_cache(maxsize=256)
def layer_moments(code: Code, manner: Manner, reached: bool) -> Moments:
    """Of one layer; `reached` says whether a gradient of its input is asked for."""
    m = Meter(manner.autocast, manner.processor)
    elements = code.rows * code.hidden
    if manner.again:
        return _again(m, code, manner, elements)
    x = leaf(m, elements, manner.stream) if reached else m.new(elements, manner.stream)
    m.start()
    found = [run(m, code, x)]
    forward = m.peak
    del x
    m.casts.clear()
    kept = m.live - found[0].storage.bytes
    m.start()
    backward(m, found)
    return Moments(kept, 0, max(forward - kept, 0), max(m.peak - kept, 0), _gradients(m))


def _again(m: Meter, code: Code, manner: Manner, elements: int) -> Moments:
    """A checkpointed layer keeps its input, and runs a second time on the way back (arXiv 1604.06174)."""
    x = leaf(m, elements, manner.stream)
    kept = m.live
    m.start()
    found = [m.put_off(lambda: run(m, code, x))]
    casts = sum(each.storage.bytes for each in m.casts)
    forward = m.peak - kept - casts
    m.casts.clear()
    m.start()
    backward(m, found)
    back = m.peak - kept
    m.casts.clear()
    return Moments(kept, casts, max(forward, 0), back, _gradients(m))


@lru_cache(maxsize=64)
def end_moments(code: Code, manner: Manner, scores: Scores) -> Moments:
    """Of the final norm, the output layer and the loss; nothing of them is kept beyond their own way back."""
    m = Meter(manner.autocast, manner.processor)
    elements = code.rows * code.hidden
    x = leaf(m, elements, manner.stream)
    m.start()
    found = [loss(m, scores, normed(m, code, x))]
    forward = m.peak
    del x
    m.casts.clear()
    m.start()
    backward(m, found)
    return Moments(0, 0, forward, m.peak, _gradients(m))


def _gradients(m: Meter) -> int:
    found = sum(each.storage.bytes for each in m.gradients)
    m.gradients.clear()
    return found
