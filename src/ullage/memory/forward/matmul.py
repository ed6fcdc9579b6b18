"""What quantized linear layers add to a forward pass."""

from __future__ import annotations

from typing import Final

from ullage.facts.architecture import Layer
from ullage.memory.forward.one_pass import Pass
from ullage.memory.weights.precision import ResolvedPrecision
from ullage.memory.weights.tensors import block_bytes

GPTQ_UNPACK_ROWS: Final = 128
"""AutoGPTQ's CUDA kernel for 8 bits unpacks whole weights above this many rows
(`kernel_switch_threshold`, auto_gptq 0.6-0.7)."""
AWQ_UNPACK_ROWS: Final = 1024
"""AutoAWQ's GEMM layer dequantizes the weight from this many rows on (awq/modules/linear/gemm.py)."""


def matmul_bytes(
    layer: Layer, outputs: int, hidden: int, work: Pass, precision: ResolvedPrecision
) -> tuple[int, int]:
    """What a quantized linear layer adds: before its output exists, and while it multiplies.

    NF4 and AWQ dequantize the whole weight to 16 bits; AutoGPTQ's 8-bit kernel unpacks it to int32
    and then to 16 bits; LLM.int8() (arXiv 2208.07339) quantizes the input and holds an int32
    result.
    """
    elements = block_bytes(layer.weights, precision).largest_linear
    storage, stored = precision.storage, precision.quantization
    bits = stored.bits if stored is not None else 8
    weight = elements * precision.element_bytes
    if storage in ("nf4", "nf4-dq") or (storage == "bitsandbytes" and bits == 4):
        return (weight, weight) if work.rows > 1 else (0, 0)
    if storage == "int8" or (storage == "bitsandbytes" and bits == 8):
        return 0, work.rows * (hidden + 4 * outputs)
    if storage == "awq" and work.rows >= AWQ_UNPACK_ROWS:
        return weight, weight
    if storage == "gptq-int8" or (storage == "gptq" and bits == 8):
        return (4 * elements + weight, weight) if work.rows > GPTQ_UNPACK_ROWS else (0, 0)
    return 0, 0


def dequantization_buffer(largest_linear: int, precision: ResolvedPrecision) -> int:
    """The 16-bit buffer of the largest linear layer that ExLlama's 4-bit kernels keep per device.

    Source: `max_dq_buffer_size` in AutoGPTQ's exllama `prepare_buffers`; the GPTQ-Int4 rows of the
    Qwen2.5 measurements show it to the megabyte.
    """
    bits = precision.quantization.bits if precision.quantization is not None else 4
    if precision.storage == "gptq-int4" or (precision.storage == "gptq" and bits == 4):
        return largest_linear * precision.element_bytes
    return 0
