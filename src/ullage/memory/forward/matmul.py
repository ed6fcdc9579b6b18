"""What quantized linear layers add to a forward pass."""

from __future__ import annotations

from ullage.facts.architecture import Layer
from ullage.facts.dtypes import DTYPES
from ullage.facts.quantization.scheme import QuantizedInput
from ullage.memory.forward.one_pass import Pass
from ullage.memory.weights.precision import ResolvedPrecision
from ullage.memory.weights.tensors import block_bytes


def matmul_bytes(
    layer: Layer, outputs: int, hidden: int, work: Pass, precision: ResolvedPrecision
) -> tuple[int, int]:
    """What a quantized linear layer adds: before its output exists, and while it multiplies.

    A scheme dequantizes the whole weight first, or quantizes the input and holds the result wider.
    """
    product = precision.scheme.product if precision.scheme is not None else None
    if isinstance(product, QuantizedInput):
        cast = 0 if precision.compute == product.gives else DTYPES[product.gives]
        return 0, work.rows * (product.input * hidden + (product.result + cast) * outputs)
    if product is None or work.rows < product.rows:
        return 0, 0
    elements = block_bytes(layer.weights, precision).largest_linear
    weight = elements * precision.element_bytes
    return product.unpacked * elements + weight, weight


def dequantization_buffer(largest_linear: int, precision: ResolvedPrecision) -> int:
    """The buffer in the compute dtype that a scheme's kernels keep per device, for the largest layer."""
    keeps = precision.scheme is not None and precision.scheme.keeps_buffer
    return largest_linear * precision.element_bytes if keeps else 0
