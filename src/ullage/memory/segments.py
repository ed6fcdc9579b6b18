"""What stays reserved and unused around a pass that was replayed."""

from __future__ import annotations

from itertools import pairwise
from typing import Final

from ullage.memory.forward.logits import CHOSEN_BYTES, FLOAT_COPY, sliced
from ullage.memory.forward.segments import Layers, scoring, typical_segments, unused_segments
from ullage.memory.needs import Need
from ullage.memory.temporaries import Forward
from ullage.spec.role import Cache
from ullage.units import MIB, Interval

SPREAD: Final = (5, 4)
TENSORS: Final = 2
ROUNDING: Final = 40 * MIB
"""High value: a quarter more than is typical of the model, so that it grows with the pass, with room for so
many of its widest tensors and for two large segments. Which hole the best fit finds turns on the order of few
statements, which the formulas do not know of every family."""


CHOSEN_STEPS: Final = (12, 8, 4, 2, 1)
"""Bytes of a vocabulary entry of each sequence that passes of more and more sequences are weighed by: the
next that is no less than theirs."""


def is_replayed(run: Forward, cache: Cache) -> bool:
    """Whether a pass is one whose tensors are replayed: a whole prompt read, none of it seen before, with no
    cache or one that grows, and no image."""
    work = run.one_pass
    whole = work.new > 1 and work.cached == 0
    return whole and not work.processor and not run.images and not (work.caches and cache.kind != "dynamic")


def segments_need(run: Forward, rough: bool = False) -> Need:
    """What torch's allocator holds around the pass, beside what is alive at its fullest moment. Where that is
    `rough` the expected value is that of a typical pass, and one replay less; the high value is the same."""
    width = run.precision.element_bytes
    entries: tuple[int, ...] = ()
    chosen = run.logits not in ("all", "none") and not run.architecture.encodes
    if run.logits == "all":
        entries = width, FLOAT_COPY
    elif chosen:
        entries = width, _chosen_bytes(run.one_pass.batch, run.architecture.vocab_size)
    layers = Layers(run.architecture, run.precision, run.one_pass, run.ends, run.logits == "all", entries)
    typical = _growing(layers) if chosen else typical_segments(layers)
    unused = typical if rough else unused_segments(layers)
    high = typical * SPREAD[0] // SPREAD[1] + TENSORS * _tensor(run) + ROUNDING
    if run.logits == "all":
        high += run.one_pass.rows * run.architecture.vocab_size * width
    every = tuple(range(len(run.architecture.layers) + 2))
    note = "replayed through torch's allocator"
    return Need(
        "fragmentation", every, Interval(0, min(unused, high), high), "derived", "once", "reserved", note=note
    )


def _chosen_bytes(batch: int, vocabulary: int) -> int:
    """Of a vocabulary entry of each sequence, while tokens of some of them at a time are chosen."""
    return max(CHOSEN_BYTES[1] * sliced(batch, vocabulary) // batch, 1)


def _growing(layers: Layers) -> int:
    """What is typical of the pass or of one of fewer sequences. The more there are, the smaller is the share
    of them whose token is chosen at once, and what that takes comes to fit into what layers left: what stays
    unused would be less of a larger pass."""
    work, vocabulary = layers.work, layers.architecture.vocab_size
    together = sliced(work.batch, vocabulary)
    found = 0
    for each, below in pairwise((*CHOSEN_STEPS, 0)):
        batch = min(work.batch, CHOSEN_BYTES[1] * together // (below + 1))
        some = layers._replace(work=work._replace(batch=batch), entries=(layers.entries[0], each))
        found = max(found, typical_segments(some))
        if batch == work.batch:
            break
    return found


def _tensor(run: Forward) -> int:
    """Bytes of the widest tensor that is held beside others: the residual stream, a mask, or all scores."""
    work, width = run.one_pass, run.precision.element_bytes
    stream = work.rows * run.architecture.hidden_size * width
    heads = max((each.heads for each in scoring(run.architecture, width, work)), default=0)
    if not heads:
        return max(stream, work.rows * work.new * width) if work.masked else stream
    return max(stream, work.rows * work.new * heads * width)
