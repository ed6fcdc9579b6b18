"""Linear layers with quantized weights, on fake tensors: what their kernels hold, and in which order."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn.functional import linear

from ullage.facts.dtypes import TORCH_NAMES
from ullage.facts.quantization.known import scheme_of
from ullage.facts.quantization.scheme import Dequantized, QuantizedInput, Scheme

if TYPE_CHECKING:
    from torch import nn

    from ullage.runtime.layout import Layout

_FLOAT = 4


def quantize(model: nn.Module, layout: Layout, storage: str, compute: str) -> None:
    """Makes every linear layer of the model that the scheme replaces run as it runs there, in `compute`; the
    head does not.

    A weight keeps its 16-bit storage, which no event tells of. Raises UnsupportedError for a scheme that is
    not known.
    """
    from torch import nn

    scheme, dtype = scheme_of(storage), getattr(torch, TORCH_NAMES[compute])
    for module in model.modules():
        if scheme is not None and type(module) is nn.Linear and module is not layout.head:
            module.forward = partial(_linear, scheme, dtype, module)  # type: ignore[method-assign]


def _linear(scheme: Scheme, dtype: torch.dtype, module: nn.Linear, input: Tensor) -> Tensor:
    """The layer of any input, as bitsandbytes casts it to the compute dtype and back."""
    given = input.to(dtype)
    if given.requires_grad:
        found: Tensor = _Back.apply(given, scheme, module)  # type: ignore[no-untyped-call]
    else:
        found = _forward(scheme, module, given)
    return found.to(input.dtype)


class _Back(torch.autograd.Function):
    """The product whose way back keeps nothing and makes the weight once more (`MatMul4Bit` of
    bitsandbytes/autograd/_functions.py)."""

    @staticmethod
    def forward(ctx: Any, given: Tensor, scheme: Scheme, module: nn.Linear) -> Tensor:
        ctx.of = scheme, module
        return _forward(scheme, module, given)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        scheme, module = ctx.of
        assert isinstance(scheme.product, Dequantized)
        return grad @ _unpacked(scheme, scheme.product, module, grad), None, None


def _forward(scheme: Scheme, module: nn.Linear, input: Tensor) -> Tensor:
    """(..., outputs) of (..., inputs)."""
    product = scheme.product
    rows = input.numel() // input.shape[-1]
    if isinstance(product, Dequantized) and rows >= product.rows:
        return _dequantized(scheme, product, module, input)
    if isinstance(product, QuantizedInput):
        return _quantized_input(product, module, input)
    return input.new_empty((*input.shape[:-1], module.out_features))  # one kernel reads the weight as it is


def _dequantized(scheme: Scheme, product: Dequantized, module: nn.Linear, given: Tensor) -> Tensor:
    """The product with the whole weight in 16 bits."""
    return linear(given, _unpacked(scheme, product, module, given), module.bias)


def _unpacked(scheme: Scheme, product: Dequantized, module: nn.Linear, given: Tensor) -> Tensor:
    """The whole weight in 16 bits, of scales in fp32 (`dequantize_4bit` of bitsandbytes/functional.py)."""
    elements = module.weight.numel()
    scales = [
        given.new_empty(elements // part.size, dtype=torch.float32)
        for part in scheme.parts
        if part.per == "block" and part.bits < 8 * _FLOAT
    ][:1]
    unpacked = given.new_empty(elements * product.unpacked, dtype=torch.uint8)
    weight = torch.empty_like(module.weight, dtype=given.dtype)
    del scales, unpacked
    return weight


def _quantized_input(product: QuantizedInput, module: nn.Linear, given: Tensor) -> Tensor:
    """A product of integers (`MatMul8bitLt.forward` of bitsandbytes/autograd/_functions.py and the kernels of
    its backends/cuda/ops.py). Columns of outliers, which only values tell, are not in it."""
    gives = getattr(torch, TORCH_NAMES[product.gives])
    half = given.reshape(-1, given.shape[-1]).to(gives)
    scales = half.new_empty(half.shape[0], dtype=torch.float32)
    small = half.new_empty(half.numel() * product.input, dtype=torch.uint8)
    outliers = half.abs() >= 0.0
    del outliers, half
    wide = given.new_empty(scales.shape[0] * module.out_features * product.result, dtype=torch.uint8)
    found = given.new_empty((scales.shape[0], module.out_features), dtype=gives)
    if module.bias is not None and module.bias.dtype != gives:
        found.add_(module.bias)
    found = found.to(given.dtype)
    del wide, small
    return found.reshape(*given.shape[:-1], module.out_features)
