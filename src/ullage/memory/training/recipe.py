"""What is trained of a model, beside what, and in which dtypes: as peft and bitsandbytes do it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from ullage.facts.architecture import Weight
from ullage.facts.dtypes import DTYPES
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
        return DTYPES[self.autocast_dtype] if self.autocast_dtype else 0

    @property
    def autocast_dtype(self) -> str:
        """Its dtype; "" where there is none."""
        mixed = self.training.mixed_precision
        if mixed == "auto":
            return self.precision.compute if self.precision.element_bytes < FULL else ""
        return "" if mixed == "no" else mixed

    @property
    def full(self) -> bool:
        """Whether queries, keys and values are in fp32."""
        return self.width == FULL and not self.autocast

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
