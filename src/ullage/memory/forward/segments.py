"""Segments that torch's allocator holds unused around one pass, by replaying the pass's tensors.

Blocks come free in other sizes than the next tensor needs, and what a cache keeps comes to lie among them.
How much that leaves is not a share of the largest moment, but it does grow as the tensors grow: so it is
replayed for passes of few sizes, and scaled.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from ullage.facts.architecture import Architecture, Attention, LatentAttention, Layer
from ullage.memory.allocator.endless import EndlessAllocator, blocks_bytes
from ullage.memory.forward.activations import manner_of, play
from ullage.memory.forward.attention import makes_scores
from ullage.memory.forward.one_pass import FULL, Manner, Pass, amounts_of
from ullage.memory.forward.tensors import Step, Tensors
from ullage.memory.forward.whole_model import model_bytes
from ullage.memory.needs import PASSES
from ullage.memory.weights.precision import ResolvedPrecision
from ullage.memory.weights.tensors import distinct_layers
from ullage.units import MIB

SCALED_FROM: Final = 64 * MIB
"""Bytes of the residual stream from which on what stays unused is proportional to it: all tensors of a layer
have segments of their own (of 10 MiB and more) and remainders of a mebibyte do not count."""

SHORT: Final = 128
SETTLED: Final = 12
"""Layers, of each kind that families mix, after which nothing new happens in a pass that keeps no cache."""


class Layers(NamedTuple):
    """Layers that one pass goes through, and how many bytes a vocabulary entry of it takes, tensor by tensor:
    for `every` position, or for the last of each sequence. It `ends` within the last layer where nobody reads
    that layer's output."""

    architecture: Architecture
    precision: ResolvedPrecision
    work: Pass
    ends: bool
    every: bool
    entries: tuple[int, ...]


def unused_segments(layers: Layers) -> int:
    """Bytes reserved at most less bytes alive at most, for a pass that begins with an empty cache.

    Those of a pass of the same proportions whose sizes are powers of two, scaled.
    """
    work = layers.work
    if work.rows >= _enough(layers) and _proportional(layers):
        return typical_segments(layers)
    batch, new = 1 << (work.batch - 1).bit_length(), 1 << (work.new - 1).bit_length()
    while batch > 1 and batch * new > _enough(layers):
        batch //= 2
    return _scaled(layers, work._replace(batch=batch, new=new))


def typical_segments(layers: Layers) -> int:
    """The same by proportions that do not depend on the pass, so that it grows with it: of one long prompt,
    or of many short ones where scores or a mask have a place for every two positions."""
    enough = _enough(layers)
    batch, new = (1, enough) if _proportional(layers) else (max(enough // SHORT, 1), SHORT)
    return _scaled(layers, layers.work._replace(batch=batch, new=new))


def _proportional(layers: Layers) -> bool:
    """Whether all tensors of a pass are as large as its rows are many."""
    if layers.work.masked or scoring(layers.architecture, layers.precision.element_bytes, layers.work):
        return False
    mixers = (layer.mixer for layer, _ in distinct_layers(layers.architecture))
    return not any(isinstance(each, LatentAttention) and each.indexer_dim for each in mixers)


@lru_cache(maxsize=PASSES)
def scoring(architecture: Architecture, width: int, work: Pass) -> tuple[Attention | LatentAttention, ...]:
    """Distinct mixers whose scores lie in memory in a pass over elements of `width` bytes."""
    return tuple(
        layer.mixer
        for layer, _ in distinct_layers(architecture)
        if isinstance(layer.mixer, Attention | LatentAttention)
        and makes_scores(work.kernel, layer.mixer, width, work.masked, work.processor)
    )


def _scaled(layers: Layers, alike: Pass) -> int:
    return _unused(layers._replace(work=alike)) * layers.work.rows // alike.rows


def _enough(layers: Layers) -> int:
    """Positions from which on all that counts is proportional to them."""
    return max(SCALED_FROM // (layers.architecture.hidden_size * layers.precision.element_bytes), 1)


def _unused(layers: Layers) -> int:
    allocator = _replayed(layers._replace(entries=())).branch()
    rows = layers.work.rows if layers.every else layers.work.batch
    for entry in layers.entries if not layers.ends else ():
        allocator.take(max(rows * layers.architecture.vocab_size * entry, 1))
    return allocator.reserved - allocator.most


@lru_cache(maxsize=128)
def _replayed(layers: Layers) -> EndlessAllocator:
    """Up to the logits: passes that differ in these alone are one replay."""
    replay = _Replay()
    stream = layers.work.rows * layers.architecture.hidden_size * layers.precision.element_bytes
    held, _ = model_bytes(layers.architecture, layers.work, layers.precision.element_bytes)
    replay.take(held)
    embedded = left = replay.take(stream)
    last = len(layers.architecture.layers) - 1
    # Where nothing stays, what one layer leaves free is what the next one takes.
    count = last + 1 if layers.work.caches or layers.ends else SETTLED
    for index, layer in enumerate(layers.architecture.layers[:count]):
        entered, left = left, replay.layer(layer, stream, layers, layers.ends and index == last)
        if entered is not embedded:
            replay.give(entered)
    if not layers.ends:
        replay.head(left, stream, layers)
    return replay.allocator


class _Replay:
    """Runs a pass's tensors through an allocator."""

    def __init__(self) -> None:
        self.allocator = EndlessAllocator()
        self.give = self.allocator.give
        self._steps: dict[tuple[int, bool], tuple[Sequence[tuple[int, int]], frozenset[int]]] = {}

    def take(self, size: int) -> int:
        return self.allocator.take(max(size, 1))

    def layer(self, layer: Layer, stream: int, layers: Layers, attention_only: bool) -> int:
        """One layer from the stream that enters it, which stays, to the one that leaves it."""
        key = id(layer), attention_only
        if key not in self._steps:
            self._steps[key] = _steps(layer, layers, attention_only)
        steps, kept = self._steps[key]
        held: dict[int, int] = {}
        self.allocator.run(steps, held)
        passing = [number for number in held if number not in kept]
        for number in passing[:-1]:
            self.give(held[number])
        # Where a layer's last statement gives what went into it, the tape has dropped both.
        return held[passing[-1]] if passing else self.take(stream)

    def head(self, entered: int, stream: int, layers: Layers) -> None:
        """The final norm."""
        full = stream * FULL // layers.precision.element_bytes
        upcast, scaled = self.take(full), self.take(full)
        self.give(upcast)
        rounded, _ = self.take(stream), self.take(stream)
        for block in (scaled, rounded, entered):
            self.give(block)


def _steps(
    layer: Layer, layers: Layers, attention_only: bool
) -> tuple[Sequence[tuple[int, int]], frozenset[int]]:
    """Numbers of a layer's tensors with the bytes of their blocks as they come, and with none as they go,
    without the stream that enters; the numbers of those that a cache keeps."""
    work, precision = layers.work, layers.precision
    # A cache's bytes are no layer's elsewhere: here what it copies is one of the tensors.
    manner = manner_of(layer, work, precision)._replace(caches=False)
    hidden = layers.architecture.hidden_size
    steps, kept = _tensors(layer, hidden, manner, precision, attention_only, work.caches)
    amounts = amounts_of(layer, work)
    return [(each.number, blocks_bytes(each.size.of(amounts)) if each.comes else 0) for each in steps], kept


@lru_cache(maxsize=1024)
def _tensors(
    layer: Layer,
    hidden: int,
    manner: Manner,
    precision: ResolvedPrecision,
    attention_only: bool,
    caches: bool,
) -> tuple[Sequence[Step], frozenset[int]]:
    """A layer's tensors whatever the sizes of the pass, and the numbers of those that a cache keeps."""
    tape = Tensors(caches)
    play(tape, layer, hidden, manner, precision, attention_only)
    return tape.steps, frozenset(tape.kept)
