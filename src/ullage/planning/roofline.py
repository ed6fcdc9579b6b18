"""Roofline seconds of a forward pass (Williams et al. 2009, doi 10.1145/1498765.1498785).

A pass takes as long as the slower of two: the host, which starts each layer's operations, and the cards,
which read weights and caches and multiply. Cards that hold different layers work in turn, each at its own
speed; those that share each layer add up what they have, twice a layer, and wait for it. What crosses from
one card's layers to the next's, and the choice of tokens, is not counted.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple, Self

from ullage.facts.architecture import Architecture, Attention, Experts, LatentAttention
from ullage.facts.gpu import Gpu
from ullage.facts.quantization.scheme import Slowdown
from ullage.memory.forward.attention import makes_scores
from ullage.memory.forward.cache import key_value_widths
from ullage.memory.needs import RECENT
from ullage.memory.weights.tensors import distinct_layers
from ullage.planning.pace import Pace
from ullage.planning.phase_time import Bound

SCORE_BYTES: Final = 20
"""Bytes moved for a score where scores exist: written and read in 16 and in 32 bits, masked, weighed. 8
layers of 32 heads over 4 x 2,048 tokens took 28 ms more than the flash kernel on an H200: this is 27."""


class Unpacking(NamedTuple):
    """Matrices that are dequantized before they are multiplied: their elements, the bytes that this moves,
    and a card's multiprocessors times their clock, None where these are not known."""

    elements: float
    moved: float
    clocks: float | None

    def seconds(self, bandwidth: float, pace: Pace) -> float:
        """The slower of memory and arithmetic, which a card with fast memory is bound by: bitsandbytes' pull
        request 1747 made it 1.4 to 2.1 times as fast on an A100 and an H100, on an RTX 4090 not at all."""
        moving = self.moved / (bandwidth * pace.dequantizing)
        return moving if self.clocks is None else max(moving, self.elements / (self.clocks * pace.decoded))


class Stage(NamedTuple):
    """What one card does of a pass: its peaks, `full` that of fp32, its share of the operations, and the
    bytes that lie there; of matrices that are unpacked first, `weights` are those of what they become."""

    bandwidth: float
    operations: float
    share: float
    weights: float
    cache: float
    unpacking: Unpacking | None = None
    full: float = 0.0


class Seconds(NamedTuple):
    """How long it takes, and what takes it."""

    value: float
    bound: Bound


class Step(NamedTuple):
    """One forward pass: `host` seconds, expected, beside what the `stages` do in turn; `operations` of matrix
    products, `attended` of attention, `full` of either in fp32 beside them, `moved` bytes of scores,
    `summed`, the seconds in which cards that share each layer add up what they have, and `beside`, those that
    come to all of it. Stages that wait for nothing of one another work `at_once`."""

    stages: tuple[Stage, ...]
    host: float
    operations: float
    moved: float = 0.0
    reads: int = 1
    summed: float = 0.0
    beside: float = 0.0
    full: float = 0.0
    attended: float = 0.0
    at_once: bool = False

    def in_fp32(self) -> Self:
        """The same with all of its operations in fp32."""
        return self._replace(operations=0.0, attended=0.0, full=self.operations + self.attended)

    def seconds(self, pace: Pace, slowdown: Slowdown) -> Seconds:
        """At `pace`; the weights are read `reads` times."""
        host = self.host * pace.host
        packed = min(slowdown.memory * pace.packed, 1.0)
        reading = computing = device = 0.0
        for stage in self.stages:
            bandwidth = stage.bandwidth * pace.memory
            rate, first = packed, 0.0
            if stage.unpacking is not None:
                rate, first = 1.0, self.reads * stage.unpacking.seconds(stage.bandwidth, pace)
            read = self.reads * stage.weights / (bandwidth * rate)
            read += stage.cache / (stage.bandwidth * pace.cache)
            compute = self.operations * stage.share * slowdown.compute / (stage.operations * pace.compute)
            compute += self.attended * stage.share / (stage.operations * pace.attention)
            compute += self.full * stage.share / (stage.full * pace.full) if self.full else 0.0
            moving = self.moved * stage.share / bandwidth
            reading += read + first + moving
            computing += compute
            own = first + max(read, compute) + moving
            device = max(device, own) if self.at_once else device + own
        device += self.summed
        whole = max(host, device) + self.beside
        if host > device or self.beside > device:
            return Seconds(whole, "host")
        if self.summed > max(computing, reading):
            return Seconds(whole, "link")
        return Seconds(whole, "compute" if computing > reading else "memory")


def sum_seconds(size: float, calls: int, ranks: int, gpu: Gpu, pace: Pace) -> float:
    """All-reduces of `size` bytes together, in so many `calls`, over `ranks` cards: 2 (n - 1) / n of
    the bytes leave each card (Patarasuk and Yuan 2009, doi 10.1016/j.jpdc.2008.09.002).

    By NVLink where it joins all of them, else over the bus, which must be known.
    """
    moved = 2 * (ranks - 1) / ranks * size
    if gpu.nvlink is not None:
        return calls * pace.nvlink_call + moved / (gpu.nvlink * pace.nvlink)
    assert gpu.pcie is not None
    return calls * pace.between_call + moved / (gpu.pcie * pace.between)


@lru_cache(maxsize=RECENT)
def cache_traffic(architecture: Architecture, expands: bool, grows: bool, unpacked: float = 0.0) -> float:
    """How often the bytes of a cache cross the bus of a card's memory while one token is written.

    They are read once. Where a kernel knows no grouped heads, each is first copied to all that share it, and
    those are read (repeat_kv; `expands`). A cache that `grows` is copied whole for every token
    (DynamicLayer.update): read and written. One that is quantized is read and written as what its bytes
    become, so many for each, before it grows so (QuantizedLayer.update, transformers 5.19). A latent is
    turned into the keys and values of all heads.
    """
    cached = moved = 0
    for layer in architecture.layers:
        mixer = layer.mixer
        if not isinstance(mixer, Attention | LatentAttention):
            continue
        held = sum(key_value_widths(mixer))
        spread = _all_heads(mixer)
        cached += held
        moved += held * (3 if grows else 1)
        if isinstance(mixer, LatentAttention) or (expands and spread != held):
            moved += 2 * spread
    if not cached:
        return 1.0
    return 1 + unpacked * (1 + moved / cached) if unpacked else moved / cached


def _all_heads(mixer: Attention | LatentAttention) -> int:
    """Elements of the keys and values of every query head."""
    if isinstance(mixer, LatentAttention):
        return mixer.heads * (mixer.nope_dim + mixer.rope_dim + mixer.value_dim)
    return mixer.heads * (mixer.head_dim + mixer.value_dim)


@lru_cache(maxsize=RECENT)
def _multiplied(architecture: Architecture) -> tuple[float, float, int]:
    """Elements that a position is multiplied with: of layers, of the experts that it chooses, of the output
    layer. An embedding is looked up, and counts where it is the output layer too."""
    layers = experts = 0.0
    for layer, blocks in distinct_layers(architecture):
        routed = sum(weight.elements for weight in layer.weights if weight.routed)
        layers += len(blocks) * (sum(weight.elements for weight in layer.weights) - routed)
        if isinstance(layer.feed_forward, Experts):
            experts += len(blocks) * routed * layer.feed_forward.active / layer.feed_forward.count
    head = architecture.head or [e for e in architecture.embeddings if e.shape[0] == architecture.vocab_size]
    return layers, experts, sum(weight.elements for weight in head)


def products(architecture: Architecture, positions: int, chosen: int, grouped: float = 1.0) -> float:
    """Of the matrix products of so many positions, of which `chosen` go through the output layer; those of
    experts count `grouped` times."""
    layers, experts, head = _multiplied(architecture)
    return 2 * ((layers + grouped * experts) * positions + head * chosen)


@lru_cache(maxsize=4096)
def attention_operations(architecture: Architecture, new: int, cached: int) -> int:
    """Of one sequence's scores and weighted values: 4 x heads x width for each pair that is seen."""
    total = 0
    both_ways = 2 if architecture.encodes else 1
    for layer in architecture.layers:
        mixer = layer.mixer
        if isinstance(mixer, Attention):
            pairs = _pairs(new, cached, mixer.window)
            total += 2 * pairs * mixer.heads * (mixer.head_dim + mixer.value_dim)
        elif isinstance(mixer, LatentAttention):
            wide = mixer.nope_dim + mixer.rope_dim + mixer.value_dim
            total += 2 * _pairs(new, cached, None) * mixer.heads * wide
    return total * both_ways


def _pairs(new: int, cached: int, window: int | None) -> int:
    """Of a query and a key that it sees: half of the square, and all that came before."""
    whole = new * cached + new * (new + 1) // 2
    return whole if window is None else min(whole, new * window)


def scores(architecture: Architecture, kernel: str, width: int, masked: bool, new: int, keys: int) -> int:
    """Of one sequence, over all layers, where the kernel makes them in memory; elements are `width` bytes."""
    heads = 0
    for layer, blocks in distinct_layers(architecture):
        mixer = layer.mixer
        if isinstance(mixer, Attention | LatentAttention):
            heads += len(blocks) * mixer.heads * makes_scores(kernel, mixer, width, masked, processor=False)
    return heads * new * keys
