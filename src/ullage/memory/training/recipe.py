"""What is trained of a model, beside what, and in which dtypes: as peft and bitsandbytes do it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal, NamedTuple

from ullage.facts.architecture import Architecture, Attention, Dense, Layer, Weight
from ullage.facts.dtypes import DTYPES
from ullage.facts.flow import Flow
from ullage.memory.forward.one_pass import FULL
from ullage.memory.training.linear import Matrix
from ullage.memory.weights.precision import ResolvedPrecision
from ullage.memory.weights.schemes import quantizes
from ullage.spec.training import Training

KBIT: Final = ("int8", "nf4", "nf4-dq")
"""Schemes of bitsandbytes, of which `prepare_model_for_kbit_training` casts what stays beside them."""
FIT_FOR_ADAPTERS: Final = ("linear",)
"""all-linear is every nn.Linear and Conv1D but the output layer: fused experts and routers are neither."""


class Recipe(NamedTuple):
    """A training step of one model: everything about dtypes follows from it."""

    training: Training
    precision: ResolvedPrecision

    @property
    def kbit(self) -> bool:
        """Whether peft casts embedding, norms and output layer to fp32."""
        lora = self.training.lora
        return lora is not None and lora.prepare_model_for_kbit_training and self.precision.storage in KBIT

    @property
    def width(self) -> int:
        """Bytes an element of weights that are not quantized."""
        if self.kbit:
            return FULL
        quantized = self.precision.scheme is not None
        return self.precision.element_bytes if quantized else DTYPES[self.precision.storage]

    @property
    def autocast(self) -> int:
        """Bytes of an element that products are made in, whatever they are given; 0 where they are not."""
        mixed = self.training.mixed_precision
        if mixed == "auto":
            return self.precision.element_bytes if self.precision.element_bytes < FULL else 0
        return 0 if mixed == "no" else DTYPES[mixed]

    @property
    def adapter(self) -> int:
        """Bytes of an element of an adapter."""
        lora = self.training.lora
        return FULL if lora is not None and lora.autocast_adapter_dtype else self.width

    @property
    def master(self) -> bool:
        """Whether an fp32 copy of the weights is what the optimizer steps: where all of them are trained in
        16 bits it is, unless that is forbidden."""
        asked = self.training.master_weights
        if self.width == FULL or self.training.lora is not None:
            return False
        return (self.training.whole and self.precision.scheme is None) if asked is None else asked

    def targets(self, weight: Weight) -> bool:
        """Whether an adapter stands beside this weight."""
        lora = self.training.lora
        if lora is None or weight.role not in FIT_FOR_ADAPTERS:
            return False
        module = weight.name.removesuffix(".weight")
        if lora.target_modules == "all-linear":
            return True
        return any(module == name or module.endswith(f".{name}") for name in lora.target_modules)

    def trained(self, weights: Iterable[Weight]) -> list[int]:
        """Elements of each tensor that is trained of `weights`: themselves, or the two of each adapter."""
        lora = self.training.lora
        if lora is None:
            whole = [weight.elements for weight in weights]
            if self.training.whole:
                return whole
            return [round(sum(whole) * self.training.trainable_fraction)]
        return [lora.r * side for weight in weights if self.targets(weight) for side in _sides(weight)]

    def cast_elements(self, weights: Iterable[Weight]) -> int:
        """Elements that are cast from the compute dtype to fp32 before training."""
        if not self.kbit or self.precision.element_bytes == FULL:
            return 0
        return sum(weight.elements for weight in weights if not quantizes(weight, self.precision))

    def matrix(self, weight: Weight, inputs: int, biased: bool = False) -> Matrix:
        """A linear layer as training finds it."""
        lora = self.training.lora
        whole = self.training.whole
        bits = 0
        if quantizes(weight, self.precision):
            bits = 8 if self.precision.storage == "int8" else 4
        adapted = self.targets(weight)
        return Matrix(
            inputs,
            max(weight.elements // inputs, 1),
            self.width,
            whole,
            whole and biased,
            bits,
            self.precision.element_bytes,
            lora.r if lora is not None and adapted else 0,
            self.adapter,
            lora is not None and adapted and lora.lora_dropout > 0,
            not whole and lora is None,
        )


def _sides(weight: Weight) -> tuple[int, int]:
    return weight.shape[-1], weight.elements // weight.shape[-1]


def matrices(recipe: Recipe, layer: Layer, hidden: int) -> tuple[tuple[Matrix, ...], tuple[Matrix, ...]]:
    """Those of attention (queries, keys, values and output, or what is fused of them) and of a dense part;
    nothing for a part whose code has no statements here."""
    linear = [weight for weight in layer.weights if weight.role == "linear"]
    names = {weight.name for weight in layer.weights}
    mixer, part = layer.mixer, layer.feed_forward
    first = last = ()  # type: tuple[Matrix, ...]

    def made(weights: list[Weight], inside: int) -> tuple[Matrix, ...]:
        inputs = [hidden] * (len(weights) - 1) + [inside]
        return tuple(
            recipe.matrix(weight, each, weight.name.replace("weight", "bias") in names)
            for weight, each in zip(weights, inputs, strict=True)
        )

    dense = (2 if part.fused or not part.gated else 3) if isinstance(part, Dense) else 0
    if has_statements(layer) and isinstance(mixer, Attention):
        count = 2 if mixer.fused_qkv else 4
        if len(linear) >= count + dense:
            first = made(linear[:count], mixer.heads * mixer.value_dim)
    if isinstance(part, Dense) and len(linear) >= dense:
        last = made(linear[len(linear) - dense :], part.intermediate)
    return first, last


def has_statements(layer: Layer) -> bool:
    """Whether attention's code is written here: transformers' own functions over stored keys and values."""
    mixer, flow = layer.mixer, layer.flow
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
    attention, dense = matrices(recipe, layer, architecture.hidden_size)
    known = recipe.precision.scheme is None or recipe.precision.storage in ("nf4", "nf4-dq")
    learned = recipe.training.whole or recipe.training.lora is not None
    gated = isinstance(layer.feed_forward, Dense) and layer.feed_forward.gated
    written_out = (
        not gated and layer.flow.activation != Flow().activation
    )  # each of its steps may keep its own
    if not (attention and dense) or architecture.flow_open or written_out:
        return "sums"
    return "steps" if gated and known and learned else "statements"
