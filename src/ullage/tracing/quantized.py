"""Linear layers with quantized weights, on fake tensors: what their kernels hold, and in which order."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

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


def quantize(model: nn.Module, layout: Layout, storage: str) -> None:
    """Makes every linear layer of the model that the scheme replaces run as it runs there; the head does not.

    A weight keeps its 16-bit storage, which no event tells of. Raises UnsupportedError for a scheme that is
    not known.
    """
    from torch import nn

    scheme = scheme_of(storage)
    for module in model.modules():
        if scheme is not None and type(module) is nn.Linear and module is not layout.head:
            module.forward = partial(_forward, scheme, module)  # type: ignore[method-assign]


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
    """The whole weight in 16 bits, of scales in fp32, and the product with that (`dequantize_4bit` of
    bitsandbytes/functional.py)."""
    elements = module.weight.numel()
    scales = [
        given.new_empty(elements // part.size, dtype=torch.float32)
        for part in scheme.parts
        if part.per == "block" and part.bits < 8 * _FLOAT
    ][:1]
    unpacked = given.new_empty(elements * product.unpacked, dtype=torch.uint8)
    weight = torch.empty_like(module.weight, dtype=given.dtype)
    del scales, unpacked
    return linear(given, weight, module.bias)


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
