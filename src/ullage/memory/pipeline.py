"""What a diffusion pipeline needs: its networks' weights, what a load takes beside them, and their passes."""

from __future__ import annotations

from typing import Final

from ullage.facts.diffusion import Component, Pipeline
from ullage.facts.dtypes import DTYPES, SHORT_NAMES
from ullage.memory.forward.diffusion import component_bytes, position_pixels, text_bytes
from ullage.memory.loaded import Loaded
from ullage.memory.needs import Need
from ullage.memory.resident import home_of
from ullage.memory.weights.loading import BUFFERS
from ullage.memory.weights.parking import ALIGNED, HOST, PROCESSOR, Parking
from ullage.memory.weights.precision import ResolvedPrecision
from ullage.phases.phase import Where, Work
from ullage.units import Interval

TEXT_TOKENS: Final = 512
"""Text length a diffusion transformer attends to when its encoders do not say."""
TENSORS: Final = 60
"""Tensors of a block at most: a level of a VAE's encoder and decoder has fewer than so many."""


def pipeline_needs(loaded: Loaded, where: Where, work: Work | None) -> tuple[Need, ...]:
    """A pipeline's networks are its blocks; each one's temporaries while it does `work`."""
    pipeline, precision = loaded.model, loaded.precision
    assert isinstance(pipeline, Pipeline)
    home = home_of(where)
    needs = []
    for block, component in enumerate(pipeline.components):
        size = Interval.exactly(network_bytes(component, precision))
        needs.append(Need("weights", (block,), size, "exact", home=home))
    if work is not None and work.activity == "load":
        needs += _load(pipeline, precision, loaded.processor)
    if work is not None and work.activity == "denoise":
        needs += _passes(pipeline, precision, work)
    return tuple(needs)


def network_bytes(component: Component, precision: ResolvedPrecision) -> int:
    """Bytes of one network's weights, those that stay fp32 as such."""
    kept = component.kept_full if precision.compute == "fp16" else 0
    return (component.parameters - kept) * precision.element_bytes + kept * DTYPES["fp32"]


def load_bytes(pipeline: Pipeline, precision: ResolvedPrecision, on_processor: bool) -> tuple[int, int]:
    """Bytes beyond the weights at most, on the device and in host memory, while networks load one by one.

    One that is stored in another dtype is read as a whole before it is cast. On its way to a card it is in
    host memory, as it will be and as it was.
    """
    stored = SHORT_NAMES.get(pipeline.dtype, "fp32")
    read = cast = 0
    for component in pipeline.components:
        read = max(read, component.parameters * DTYPES[stored])
        cast = max(cast, network_bytes(component, precision))
    recast = read if stored != precision.compute else 0
    if on_processor:
        return recast + BUFFERS, 0
    return BUFFERS, cast + recast + BUFFERS


def pipeline_parking(pipeline: Pipeline, precision: ResolvedPrecision, device: str) -> Parking:
    """Of one that is on one device as a whole, as `parking` says of a language model.

    Each tensor takes its bytes rounded up to ALIGNED: at most so many of them as its files name, or as its
    blocks may have where there are no files.
    """
    stored = pipeline.checkpoint
    blocks = sum(each.layers + len(each.channels) + 1 for each in pipeline.components)
    tensors = TENSORS * blocks if stored is None else len(stored.tensors)
    size = sum(network_bytes(each, precision) for each in pipeline.components) + tensors * ALIGNED + BUFFERS
    extra, host = load_bytes(pipeline, precision, device == PROCESSOR)
    return Parking({device: size}, {device: size + extra, HOST: host}, size)


def _load(pipeline: Pipeline, precision: ResolvedPrecision, on_processor: bool) -> list[Need]:
    every = tuple(range(len(pipeline.components)))
    device, host = load_bytes(pipeline, precision, on_processor)
    needs = [Need("load", every, Interval(0, device - BUFFERS, device), "derived", "once", note="conversion")]
    if host:
        note = "a network on its way to the card"
        size = Interval(0, host - BUFFERS, host)
        needs.append(Need("load", (0,), size, "derived", home="host", note=note))
    return needs


def _passes(pipeline: Pipeline, precision: ResolvedPrecision, work: Work) -> list[Need]:
    """Each network's temporaries, of which one network's are alive at a time, and what the encoders gave."""
    encoders = [each for each in pipeline.components if each.kind == "text_encoder"]
    text = max((each.tokens for each in encoders), default=TEXT_TOKENS)
    pixels = position_pixels(pipeline.components)
    kept = text_bytes(encoders, work.batch, text, precision.element_bytes)
    needs = [Need("activations", (0,), Interval.exactly(kept), "derived", note="what the encoders gave")]
    for block, component in enumerate(pipeline.components):
        size = component_bytes(component, work.batch, work.image_size, pixels, text, precision.compute)
        needs.append(Need("activations", (block,), size, "derived", "max", note=component.name))
    return needs
