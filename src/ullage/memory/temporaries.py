"""Temporaries of a forward pass: its layers', the image tower's and the logits'."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from ullage.facts.architecture import Architecture, Layer
from ullage.memory.encoder import encoded_bytes
from ullage.memory.forward.activations import layer_peak
from ullage.memory.forward.logits import all_logits, sampled_logits
from ullage.memory.forward.one_pass import Pass
from ullage.memory.forward.whole_model import model_bytes
from ullage.memory.fragmentation import Around
from ullage.memory.needs import PASSES, Basis, Group, ItemKind, Need, group_of
from ullage.memory.weights.beside import adapter_temporaries
from ullage.memory.weights.precision import ResolvedPrecision
from ullage.memory.weights.tensors import distinct_layers
from ullage.phases.phase import LogitsKept
from ullage.units import MIB, Interval

if TYPE_CHECKING:
    from ullage.facts.vision import Vision

SPREAD = {
    "flash": (97, 108),
    "sdpa": (90, 115),
    "sdpa-math": (90, 115),
    "eager": (90, 115),
    "blockwise": (90, 115),
}
"""Low and high share of a layer's expected temporaries, in percent, by kernel: flash runs within 1 %
of measurement here; the others leave room for masks and copies that differ between releases."""
OPEN_SPREAD = (60, 160)
"""Those of layers whose flow is not held against the real code: a family planned as its nearest kin was seen
28 % above the high value of a known one."""
TEMPORARY_ROUNDING = 8 * MIB
"""A handful of live temporaries, each rounded up to at most 1 MiB beyond its size."""


def temporary(component: ItemKind, blocks: tuple[int, ...], each: Interval, note: str = "") -> Need:
    """A need of which a device pays the largest alone."""
    return Need(component, blocks, each, "derived", "max", note=note)


class Forward(NamedTuple):
    """All that the temporaries of a forward pass depend on. It `ends` within the last layer where nobody
    reads that layer's output."""

    architecture: Architecture
    precision: ResolvedPrecision
    one_pass: Pass
    ends: bool
    logits: LogitsKept
    images: int
    image_size: tuple[int, int]


@lru_cache(maxsize=PASSES)
def forward(run: Forward, on_processor: bool, around: Around) -> Group:
    """Temporaries of one forward pass, the image tower's and the logits'."""
    architecture, precision, one_pass, ends, logits, images, _ = run
    hidden, width = architecture.hidden_size, precision.element_bytes
    needs = []
    held, embedded = model_bytes(architecture, one_pass, width)
    count = len(architecture.layers)
    # The first layer's input is the embedding itself, which only later layers hold beside their own.
    alone = count - (1 if ends else 0) <= 1
    low, high = OPEN_SPREAD if architecture.flow_open else SPREAD[one_pass.kernel]
    basis: Basis = "assumed" if architecture.flow_open else "derived"
    for layer, blocks in _passed_layers(architecture, ends):
        partly = ends and blocks[-1] == count
        peak = layer_peak(layer, hidden, one_pass, precision, partly)
        beside = embedded if alone and blocks[0] > 1 else 0
        least = size = peak.bytes + beside
        if one_pass.masked:
            # Prompts of one length need no mask.
            plain = one_pass._replace(masked=False)
            least = min(size, layer_peak(layer, hidden, plain, precision, partly).bytes + beside)
        each = Interval(least * low // 100, size, size * high // 100 + TEMPORARY_ROUNDING)
        needs.append(Need("activations", blocks, each, basis, "max", note=peak.moment))
    if architecture.adapter is not None:
        needs.append(adapter_temporaries(architecture.adapter, architecture, one_pass, precision))
    embeddings = Interval(0, held + (0 if alone else embedded), held + embedded)
    needs.append(Need("activations", (0,), embeddings, "derived", note="embeddings and masks"))
    if images and architecture.vision is not None:
        needs += _vision(run, architecture.vision, on_processor)
    if logits != "none":
        needs.append(_logits(architecture, one_pass, logits, width))
    return group_of(needs, on_processor, around)


def _vision(run: Forward, vision: Vision, on_processor: bool) -> list[Need]:
    """What is there of the images until the pass is over, their tower, and their way into the prompt."""
    from ullage.memory.forward.vision import scattered_bytes, tower_bytes

    one_pass, hidden = run.one_pass, run.architecture.hidden_size
    picture = vision.lay(run.image_size)
    images = run.images * one_pass.batch
    compute = run.precision.compute
    tower = tower_bytes(vision, picture, images, one_pass.kernel, compute, on_processor)
    each = "1 image" if images == 1 else f"{images} images"
    laid = f"{each} of {picture.patches:,} patches"
    # The tower's peak is what it gives and more, so that no byte of it is counted twice.
    least, most, high = (max(end - tower.kept, 0) for end in tower.running)
    scattered = scattered_bytes(one_pass.rows, hidden, run.precision.element_bytes, on_processor)
    return [
        Need(
            "vision", (0,), Interval.exactly(tower.pixels + tower.kept), "derived", note="pixels and features"
        ),
        temporary("vision", (0,), Interval(least, most, high + TEMPORARY_ROUNDING), f"tower: {laid}"),
        temporary("vision", (0,), Interval(0, scattered, scattered), "features into the prompt"),
    ]


@lru_cache(maxsize=256)
def _passed_layers(architecture: Architecture, ends: bool) -> tuple[tuple[Layer, tuple[int, ...]], ...]:
    """Distinct layers with their blocks; the last apart where the pass ends within it."""
    found = distinct_layers(architecture)
    last = len(architecture.layers)
    if not ends:
        return found
    parts: list[tuple[Layer, tuple[int, ...]]] = []
    for layer, blocks in found:
        before = tuple(block for block in blocks if block != last)
        parts += [(layer, before)] if before else []
        parts += [(layer, (last,))] if last in blocks else []
    return tuple(parts)


def _logits(architecture: Architecture, one_pass: Pass, kept: LogitsKept, width: int) -> Need:
    vocabulary, head = architecture.vocab_size, len(architecture.layers) + 1
    if architecture.encodes:
        note = "scores of labels" if architecture.gives == "labels" else "states of texts"
        return temporary("logits", (head,), encoded_bytes(architecture, one_pass, width), note)
    streams = Interval.exactly(2 * one_pass.rows * architecture.hidden_size * width)
    if kept == "all":
        held = all_logits(one_pass.rows, vocabulary, width)
        return temporary("logits", (head,), held + streams, "all positions")
    held = sampled_logits(one_pass.batch, vocabulary, width)
    return temporary("logits", (head,), held + streams, f"{kept} position")
