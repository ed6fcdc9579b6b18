"""The needs of a training step, in its two spans: activations fill up, and then gradients do.

The first is there until the way back has left the last layer, the second until the optimizer has stepped;
what of one is gone is no part of the other. Gradients are there in both where they are summed over several
passes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Final, NamedTuple

from ullage.facts.architecture import Architecture, Layer, Weight
from ullage.memory.forward.one_pass import FULL, Pass
from ullage.memory.forward.whole_model import model_bytes
from ullage.memory.needs import PASSES, Basis, Need
from ullage.memory.temporaries import OPEN_SPREAD, temporary
from ullage.memory.training.code import Code
from ullage.memory.training.linear import Matrix
from ullage.memory.training.loss import Scores
from ullage.memory.training.opaque import saved_feed_forward, saved_mixer
from ullage.memory.training.optimizer import gradient_bytes, optimizer_bytes, stepping_bytes
from ullage.memory.training.parts import Proof, matrices, proof_of
from ullage.memory.training.recipe import Recipe
from ullage.memory.training.step import Manner, Moments, end_moments, layer_moments
from ullage.memory.weights.tensors import distinct_layers, embedding_weights, head_weights, weights_by_blocks
from ullage.units import Interval

ON_PROCESSOR: Final[Mapping[Proof, tuple[int, int]]] = {
    "steps": (95, 103),
    "statements": (85, 115),
    "sums": OPEN_SPREAD,
}
"""Low and high share of what is expected, in percent, by what stands behind it
(benchmarks/training_steps.py)."""
ON_CARDS: Final[Mapping[Proof, tuple[int, int]]] = {**ON_PROCESSOR, "steps": (92, 108)}
"""The same on a card, whose kernels' own workspaces no processor shows."""

UNFIT: Final = 50
"""High share, in percent of what the update makes, of segments around it: 48 after a step of 768M parameters
on an H200, 1 where layers were checkpointed (benchmarks/results/gpu-NVIDIA-H200.json)."""


class Step(NamedTuple):
    """One training step: of what model, by which recipe, in which pass, checkpointed or not."""

    architecture: Architecture
    recipe: Recipe
    one_pass: Pass
    checkpointed: bool

    @property
    def manner(self) -> Manner:
        flow = self.architecture.layers[0].flow if self.architecture.layers else None
        full = flow is not None and flow.full_stream
        stream = FULL if full else self.recipe.width
        return Manner(stream, self.recipe.autocast, self.checkpointed, self.one_pass.processor)


class _Block(NamedTuple):
    """A distinct layer at its blocks, with its moments and what stands behind them."""

    blocks: tuple[int, ...]
    moments: Moments
    proof: Proof


@lru_cache(maxsize=PASSES)
def step_needs(step: Step, updates: bool) -> tuple[Need, ...]:
    """Of the span in which activations are kept, or of that in which the optimizer `updates`."""
    kept = [*_trained(step, updates or step.recipe.training.gradient_accumulation_steps > 1)]
    layers = [*_layers(step)]
    last = len(step.architecture.layers) + 1
    width, rows = step.manner.stream, step.one_pass.rows
    own = embedding_weights(step.architecture)
    embedded = sum(w.elements for w in own if w.role == "embedding") * step.recipe.width
    if updates:
        whole = embedded if step.recipe.training.whole and step.architecture.tied else 0
        size = whole + rows * step.architecture.hidden_size * width
        kept.append(temporary("activations", (0,), _spread(step, size), "gradient of the embedding"))
        for block in layers:
            size = block.moments.kept + block.moments.back - block.moments.gradients
            need = _moment(step, block, block.blocks, max(size, 0))
            # The embedding's gradient is made when that of the first layer is done.
            low = max(need.each.low - (embedded if step.recipe.training.whole else 0), 0)
            kept.append(need._replace(each=need.each._replace(low=low)))
        made = tuple(_stepping(step))
        return (*(_before(need, made) for need in kept), *made)
    held, _ = model_bytes(step.architecture, step.one_pass, step.recipe.precision.element_bytes)
    positions = Interval.exactly(held + rows * (8 + 8) + _rotary(step))
    kept.append(Need("activations", (0,), positions, "derived", note="tokens, positions and masks"))
    end = _end(step)
    casts = sum(block.moments.casts * len(block.blocks) for block in layers)
    for block in layers:
        each = _spread(step, block.moments.kept, block.proof)
        kept.append(Need("activations", block.blocks, each, _basis(block), note="kept for the way back"))
        size = max(block.moments.forward + casts, block.moments.back)
        before = tuple(number for number in block.blocks if number != last - 1)
        if before:
            kept.append(_moment(step, block, before, size))
        if before != block.blocks:
            kept.append(_moment(step, block, (last - 1,), size + end.gradients))
    size = max(end.forward + casts, end.back)
    kept.append(temporary("logits", (last,), _spread(step, size), "loss"))
    return tuple(kept)


def _before(need: Need, made: tuple[Need, ...]) -> Need:
    """A temporary of the way back, which is gone when the optimizer makes its own: what is more of it than
    the least that any card makes then."""
    copies = [each.each.low for each in made if each.combine == "sum" and each.component == "optimizer"]
    if need.combine != "max" or not copies:
        return need
    low, expected, high = (max(end - min(copies), 0) for end in need.each)
    return need._replace(each=Interval(low, expected, high))


def _basis(block: _Block) -> Basis:
    return "derived" if block.proof == "steps" else "assumed"


def _moment(step: Step, block: _Block, blocks: tuple[int, ...], size: int) -> Need:
    note = "layer run again" if step.checkpointed else "way back of a layer"
    return Need("activations", blocks, _spread(step, size, block.proof), _basis(block), "max", note=note)


def _spread(step: Step, size: int, proof: Proof = "steps") -> Interval:
    low, high = (ON_PROCESSOR if step.one_pass.processor else ON_CARDS)[proof]
    return Interval(size * low // 100, size, size * high // 100)


def _rotary(step: Step) -> int:
    """Cosines and sines that layers keep, one pair for each kind of rotation."""
    found = {
        (mixer.head_dim, mixer.window is None)
        for layer, _ in distinct_layers(step.architecture)
        if (mixer := getattr(layer, "mixer", None)) is not None and hasattr(mixer, "window")
    }
    return sum(2 * step.one_pass.new * head * step.recipe.precision.element_bytes for head, _ in found)


def _beside(step: Step) -> bool:
    """Whether what is trained stands beside the weights."""
    training = step.recipe.training
    return not training.whole and (training.lora is not None or step.recipe.precision.scheme is not None)


def _trained_width(step: Step) -> int:
    """Bytes an element of what is trained."""
    return step.recipe.adapter if _beside(step) else step.recipe.width


def _trained(step: Step, gradients: bool) -> Iterator[Need]:
    """Adapters, what is cast before training, optimizer state, and `gradients` where they are there."""
    architecture, recipe = step.architecture, step.recipe
    training = recipe.training
    beside, width = _beside(step), _trained_width(step)
    for weights, blocks in weights_by_blocks(architecture):
        tensors = recipe.trained(weights)
        cast = recipe.cast_elements(weights) * (FULL - recipe.precision.element_bytes)
        sizes = gradient_bytes(tensors, training, width) if gradients else 0
        here, paged = optimizer_bytes(tensors, training, width, recipe.master)
        found = [
            Need("weights", blocks, Interval.exactly(cast), "derived", note="cast to fp32"),
            Need("gradients", blocks, Interval.exactly(sizes), "derived"),
            Need("optimizer", blocks, Interval.exactly(here), "derived"),
            Need("optimizer", blocks, Interval.exactly(paged), "derived", home="host", note="unified memory"),
        ]
        if beside:
            size = Interval.exactly(sum(tensors) * width)
            found.append(Need("weights", blocks, size, "derived", note="adapters"))
        yield from (need for need in found if need.each.high)


def _stepping(step: Step) -> Iterator[Need]:
    """What the optimizer makes while it steps, when all activations are gone: on cards at once of all that
    each holds (torch groups tensors by device), on a processor tensor by tensor."""
    recipe, training = step.recipe, step.recipe.training
    width = FULL if recipe.master else _trained_width(step)
    said, unfit = (
        "the update; fused it makes none",
        "segments of activations that the update does not fit into",
    )
    if step.one_pass.processor:
        sizes = [size for weights in _weights_in_order(step.architecture) for size in recipe.trained(weights)]
        if made := stepping_bytes(sizes, training, width, processor=True):
            every = tuple(range(len(step.architecture.layers) + 2))
            yield temporary("optimizer", every, Interval.exactly(made), said)
        return
    for weights, blocks in weights_by_blocks(step.architecture):
        if made := stepping_bytes(recipe.trained(weights), training, width, processor=False):
            yield Need("optimizer", blocks, Interval.exactly(made), "derived", note=said)
            unused = Interval(0, 0, made * UNFIT // 100)
            yield Need("fragmentation", blocks, unused, "assumed", level="reserved", note=unfit)


def _weights_in_order(architecture: Architecture) -> Iterator[tuple[Weight, ...]]:
    """Those of every block."""
    yield embedding_weights(architecture)
    for layer in architecture.layers:
        yield layer.weights
    yield head_weights(architecture)


def _layers(step: Step) -> Iterator[_Block]:
    """Distinct layers; the first apart where no gradient of its input is asked for."""
    reached = step.checkpointed or step.recipe.training.whole
    for layer, blocks in distinct_layers(step.architecture):
        proof = proof_of(layer, step.architecture, step.recipe)
        code = code_of(step, layer)
        if blocks[0] == 1 and not reached:
            yield _Block((1,), layer_moments(code, step.manner, False), proof)
            blocks = blocks[1:]
        if blocks:
            yield _Block(blocks, layer_moments(code, step.manner, True), proof)


def code_of(step: Step, layer: Layer) -> Code:
    """One layer's code as the step takes it."""
    architecture, recipe, one_pass = step.architecture, step.recipe, step.one_pass
    parts = matrices(recipe, layer, architecture.hidden_size)
    width = recipe.precision.element_bytes
    mixer = part = first = last = 0
    if not parts.attention:
        mixer = saved_mixer(layer, one_pass, width)
    if not (parts.dense or parts.mixture):
        part = saved_feed_forward(layer, architecture.hidden_size, one_pass.rows, width)
    if recipe.training.whole:
        rest = layer.elements - parts.elements
        first, last = (0, rest) if parts.attention else (rest, 0)
    return Code(
        layer,
        architecture.hidden_size,
        one_pass.batch,
        one_pass.new,
        one_pass.kernel,
        one_pass.masked,
        *parts,
        recipe.width,
        recipe.training.whole,
        (mixer, part),
        (first, last),
    )


def _end(step: Step) -> Moments:
    """The final norm, the output layer and the loss."""
    architecture, recipe = step.architecture, step.recipe
    layer = architecture.layers[-1]
    code = code_of(step, layer)
    head = Matrix(architecture.hidden_size, architecture.vocab_size, recipe.width, recipe.training.whole)
    return end_moments(
        code, step.manner, Scores(head, layer.flow.soft_capped, recipe.training.shifted_logits)
    )
