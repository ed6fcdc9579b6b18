"""What a layer's statements multiply with, and what stands behind its moments."""

from __future__ import annotations

from typing import Literal, NamedTuple

from ullage.facts.architecture import (
    Architecture,
    Attention,
    Dense,
    Experts,
    LatentAttention,
    Layer,
    Weight,
)
from ullage.facts.flow import Flow
from ullage.memory.training.linear import Matrix
from ullage.memory.training.recipe import Recipe
from ullage.memory.training.routing import Bank, Mixture


class Parts(NamedTuple):
    """A layer's matrices: of attention (queries, keys, values and output, or what is fused of them; of latent
    attention the projections to its latents and out of them), of a dense part, or of experts. Nothing for a
    part whose code has no statements here."""

    attention: tuple[Matrix, ...] = ()
    dense: tuple[Matrix, ...] = ()
    mixture: Mixture | None = None

    @property
    def elements(self) -> int:
        """Of all that is spelled here."""
        found = [*self.attention, *self.dense]
        size = 0
        if self.mixture is not None:
            banks = (self.mixture.first, self.mixture.last)
            size = sum(bank.experts * bank.inputs * bank.outputs for bank in banks)
            found += [self.mixture.router, *self.mixture.shared]
            found += [self.mixture.gate] if self.mixture.gate is not None else []
        return size + sum(each.inputs * each.outputs for each in found)


def matrices(recipe: Recipe, layer: Layer, hidden: int) -> Parts:
    """A layer's matrices as training finds them."""
    linear = [weight for weight in layer.weights if weight.role == "linear"]
    mixer, part = layer.mixer, layer.feed_forward
    first = last = ()  # type: tuple[Matrix, ...]
    dense = (2 if part.fused or not part.gated else 3) if isinstance(part, Dense) else 0
    if has_statements(layer) and isinstance(mixer, Attention):
        count = 2 if mixer.fused_qkv else 4
        if len(linear) >= count + dense:
            first = _made(recipe, layer, linear[:count], hidden, mixer.heads * mixer.value_dim)
    elif has_statements(layer) and isinstance(mixer, LatentAttention):
        count = 5 if any("q_a_proj" in weight.name for weight in linear) else 4
        first = tuple(_apart(recipe, layer, weight) for weight in linear[:count])
    if isinstance(part, Dense) and len(linear) >= dense:
        last = _made(recipe, layer, linear[len(linear) - dense :], hidden, part.intermediate)
    return Parts(first, last, _mixture(recipe, layer, linear[len(first) :]) if first else None)


def _made(
    recipe: Recipe, layer: Layer, weights: list[Weight], hidden: int, inside: int
) -> tuple[Matrix, ...]:
    """Those that read the stream, and the last one, which reads what is `inside` a part."""
    inputs = [hidden] * (len(weights) - 1) + [inside]
    return tuple(
        recipe.matrix(weight, each, _biased(layer, weight))
        for weight, each in zip(weights, inputs, strict=True)
    )


def _apart(recipe: Recipe, layer: Layer, weight: Weight) -> Matrix:
    """One whose shape says what it reads."""
    return recipe.matrix(weight, weight.shape[-1], _biased(layer, weight))


def _biased(layer: Layer, weight: Weight) -> bool:
    return any(each.name == weight.name.replace("weight", "bias") for each in layer.weights)


def _mixture(recipe: Recipe, layer: Layer, linear: list[Weight]) -> Mixture | None:
    """Of experts that are gated, of the stream's width and chosen by a router whose code is known; `linear`
    are what every token uses beside them."""
    part = layer.feed_forward
    banks = [weight for weight in layer.weights if weight.role == "experts"]
    routers = [weight for weight in layer.weights if weight.role == "router"]
    known = layer.flow.router and layer.flow.experts == "grouped"
    if not isinstance(part, Experts) or not known or not part.gated or part.latent or part.shared_fused:
        return None
    if len(banks) != 2 or not routers or len(linear) not in (0, 3, 4):
        return None
    first, last = (
        Bank(each.shape[0], each.shape[2], each.shape[1], recipe.width, recipe.training.whole)
        for each in banks
    )
    beside = tuple(_apart(recipe, layer, weight) for weight in linear)
    gate = beside[3] if len(beside) > 3 else None
    return Mixture(_apart(recipe, layer, routers[0]), first, last, beside[:3], gate)


def has_statements(layer: Layer) -> bool:
    """Whether attention's code is written here: transformers' own functions over stored keys and values, or
    latents without an indexer."""
    mixer, flow = layer.mixer, layer.flow
    if isinstance(mixer, LatentAttention):
        return layer.beside is None and flow.pairs and not mixer.indexer_dim
    return (
        isinstance(mixer, Attention)
        and layer.beside is None
        and mixer.stores_kv
        and mixer.causal
        and not mixer.gate
        and not mixer.distances
        and flow.scores == "library"
        and not flow.differential
    )


Proof = Literal["steps", "statements", "sums"]
"""What stands behind a layer's moments: real steps of its family's like, its statements alone, or sums of
what some of its parts keep."""


def proof_of(layer: Layer, architecture: Architecture, recipe: Recipe) -> Proof:
    """What stands behind this layer's moments."""
    parts = matrices(recipe, layer, architecture.hidden_size)
    known = recipe.precision.scheme is None or recipe.precision.storage in ("nf4", "nf4-dq")
    learned = recipe.training.whole or recipe.training.lora is not None
    part = layer.feed_forward
    gated = part.gated if isinstance(part, Dense) else parts.mixture is not None
    written_out = (
        not gated and layer.flow.activation != Flow().activation
    )  # each of its steps may keep its own
    if not (parts.attention and (parts.dense or parts.mixture)) or architecture.flow_open or written_out:
        return "sums"
    return "steps" if gated and known and learned else "statements"
