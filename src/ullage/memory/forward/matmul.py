"""What quantized linear layers add to a forward pass."""

from __future__ import annotations

from ullage.facts.architecture import Layer
from ullage.facts.dtypes import DTYPES
from ullage.facts.quantization.scheme import Dequantized, QuantizedInput
from ullage.memory.forward.one_pass import Pass
from ullage.memory.forward.tape import NOTHING, ONE, ROWS, Size
from ullage.memory.weights.precision import ResolvedPrecision
from ullage.memory.weights.tensors import block_bytes


def unpacks(work: Pass, precision: ResolvedPrecision) -> bool:
    """Whether a scheme's product turns the whole weight into the compute dtype first."""
    product = precision.scheme.product if precision.scheme is not None else None
    return isinstance(product, Dequantized) and work.rows >= product.rows


def matmul_bytes(
    layer: Layer, outputs: int, hidden: int, unpacks: bool, precision: ResolvedPrecision
) -> tuple[Size, Size]:
    """What a quantized linear layer adds: before its output exists, and while it multiplies.

    A scheme dequantizes the whole weight first, or quantizes the input and holds the result wider.
    """
    product = precision.scheme.product if precision.scheme is not None else None
    if isinstance(product, QuantizedInput):
        cast = 0 if precision.compute == product.gives else DTYPES[product.gives]
        return NOTHING, ROWS * (product.input * hidden + (product.result + cast) * outputs)
    if product is None or not unpacks:
        return NOTHING, NOTHING
    elements = block_bytes(layer.weights, precision).largest_linear
    weight = elements * precision.element_bytes
    return ONE * (product.unpacked * elements + weight), ONE * weight


def dequantization_buffer(largest_linear: int, precision: ResolvedPrecision) -> int:
    """The buffer in the compute dtype that a scheme's kernels keep per device, for the largest layer."""
    keeps = precision.scheme is not None and precision.scheme.keeps_buffer
    return largest_linear * precision.element_bytes if keeps else 0
