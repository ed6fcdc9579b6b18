"""How each quantization scheme stores one weight: the sizes of the tensors it becomes.

Sizes were checked against bitsandbytes' own tensors where that runs on a CPU (tests/memory); the
others follow the formats' definitions named at each function.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from ullage.errors import UnsupportedError
from ullage.facts.architecture import StoredQuantization, Weight
from ullage.memory.weights.precision import ELEMENT_BYTES, ResolvedPrecision

NF4_BLOCK: Final = 64
NF4_SCALE_BLOCK: Final = 256
NF4_CODE: Final = 16 * 4
NF4_SCALE_CODE: Final = 256 * 4
GPTQ_GROUP: Final = 128
MXFP4_BLOCK: Final = 32

GGUF_BLOCKS: Final = {
    "q2_k": (256, 84),
    "q3_k": (256, 110),
    "q4_0": (32, 18),
    "q4_k": (256, 144),
    "q5_k": (256, 176),
    "q6_k": (256, 210),
    "q8_0": (32, 34),
}
"""Elements and bytes of one block, from ggml's type traits (ggml.c)."""


def _up(value: int, unit: int) -> int:
    return -(-value // unit)


def _int8(weight: Weight, _: StoredQuantization | None) -> tuple[int, ...]:
    """bitsandbytes LLM.int8(): one byte an element and an fp32 scale per output row."""
    return weight.elements, weight.shape[0] * 4


def _nf4(weight: Weight, _: StoredQuantization | None) -> tuple[int, ...]:
    """bitsandbytes NF4: 4 bits, an fp32 absmax per 64 elements, the 16-entry code book."""
    return _up(weight.elements, 2), _up(weight.elements, NF4_BLOCK) * 4, NF4_CODE


def _nf4_double(weight: Weight, _: StoredQuantization | None) -> tuple[int, ...]:
    """NF4 with double quantization: uint8 absmax, fp32 scale per 256 of them, an offset, code books."""
    blocks = _up(weight.elements, NF4_BLOCK)
    scales = _up(blocks, NF4_SCALE_BLOCK) * 4
    return _up(weight.elements, 2), blocks, scales, 4, NF4_CODE, NF4_SCALE_CODE


def _gptq(bits: int) -> Callable[[Weight, StoredQuantization | None], tuple[int, ...]]:
    def tensors(weight: Weight, stored: StoredQuantization | None) -> tuple[int, ...]:
        """GPTQ as AutoGPTQ packs it: qweight, qzeros, fp16 scales, int32 g_idx, fp16 bias."""
        rows, columns = _matrix(weight)
        group = stored.group if stored is not None and stored.group > 0 else GPTQ_GROUP
        groups = _up(columns, group)
        packed = columns * rows * bits // 8
        return packed, groups * rows * bits // 8, groups * rows * 2, columns * 4, rows * 2

    return tensors


def _awq(weight: Weight, stored: StoredQuantization | None) -> tuple[int, ...]:
    """AWQ (GEMM layout): qweight and qzeros at 4 bits, fp16 scales per group of inputs."""
    rows, columns = _matrix(weight)
    group = stored.group if stored is not None and stored.group > 0 else GPTQ_GROUP
    groups = _up(columns, group)
    return columns * rows // 2, groups * rows // 2, groups * rows * 2


def _fp8(weight: Weight, stored: StoredQuantization | None) -> tuple[int, ...]:
    """fp8: one byte an element; an fp32 scale per output row, or per 128x128 block where stored so."""
    rows, columns = _matrix(weight)
    if stored is not None and stored.group > 1:
        return weight.elements, _up(rows, stored.group) * _up(columns, stored.group) * 4
    return weight.elements, rows * 4


def _compressed(weight: Weight, stored: StoredQuantization | None) -> tuple[int, ...]:
    """compressed-tensors: packed 4-bit with 16-bit group scales, or 8-bit with one scale a row."""
    rows, columns = _matrix(weight)
    bits = stored.bits if stored is not None else 8
    if bits >= 8:
        return weight.elements, rows * 4
    group = stored.group if stored is not None and stored.group > 0 else columns
    return weight.elements * bits // 8, _up(columns, group) * rows * 2


def _mxfp4(weight: Weight, _: StoredQuantization | None) -> tuple[int, ...]:
    """OCP MX: 4-bit elements with one 8-bit scale per 32."""
    return weight.elements // 2, _up(weight.elements, MXFP4_BLOCK)


def _bitsandbytes(weight: Weight, stored: StoredQuantization | None) -> tuple[int, ...]:
    if stored is not None and stored.bits == 8:
        return _int8(weight, stored)
    return (_nf4_double if stored is not None and stored.double else _nf4)(weight, stored)


def _stored_gptq(weight: Weight, stored: StoredQuantization | None) -> tuple[int, ...]:
    return _gptq(stored.bits if stored is not None else 4)(weight, stored)


def _gguf(name: str) -> Callable[[Weight, StoredQuantization | None], tuple[int, ...]]:
    elements, size = GGUF_BLOCKS[name]

    def tensors(weight: Weight, _: StoredQuantization | None) -> tuple[int, ...]:
        return (_up(weight.elements, elements) * size,)

    return tensors


_LINEAR: Final[dict[str, Callable[[Weight, StoredQuantization | None], tuple[int, ...]]]] = {
    "int8": _int8,
    "nf4": _nf4,
    "nf4-dq": _nf4_double,
    "gptq-int4": _gptq(4),
    "gptq-int8": _gptq(8),
    "gptq": _stored_gptq,
    "awq": _awq,
    "fp8": _fp8,
    "compressed-tensors": _compressed,
    "bitsandbytes": _bitsandbytes,
    "mxfp4": _mxfp4,
} | {name: _gguf(name) for name in GGUF_BLOCKS}

_QUANTIZED_ROLES: Final[dict[str, frozenset[str]]] = {
    # bitsandbytes replaces nn.Linear modules alone: fused expert tensors stay 16-bit
    # (transformers 5.19, integrations/bitsandbytes.py). The head is skipped by
    # get_keys_to_not_convert.
    "int8": frozenset({"linear"}),
    "nf4": frozenset({"linear"}),
    "nf4-dq": frozenset({"linear"}),
    "bitsandbytes": frozenset({"linear"}),
    "mxfp4": frozenset({"experts"}),
    "gptq": frozenset({"linear", "experts"}),
    "gptq-int4": frozenset({"linear", "experts"}),
    "gptq-int8": frozenset({"linear", "experts"}),
    "awq": frozenset({"linear", "experts"}),
    "fp8": frozenset({"linear", "experts"}),
    "compressed-tensors": frozenset({"linear", "experts"}),
} | {name: frozenset({"linear", "experts", "embedding", "head"}) for name in GGUF_BLOCKS}


def quantizes(weight: Weight, precision: ResolvedPrecision) -> bool:
    """Whether `precision` replaces this weight, or leaves it in the compute dtype."""
    if weight.role not in _QUANTIZED_ROLES.get(precision.storage, frozenset()):
        return False
    stored = precision.quantization
    return stored is None or not any(name in weight.name for name in stored.skipped)


def stored_tensors(weight: Weight, precision: ResolvedPrecision) -> tuple[int, ...]:
    """Bytes of each tensor `weight` is held as on a device.

    Raises UnsupportedError for a precision that no scheme here describes.
    """
    if precision.storage in ELEMENT_BYTES and precision.storage not in _LINEAR:
        return (weight.elements * ELEMENT_BYTES[precision.storage],)
    if precision.storage not in _LINEAR:
        raise UnsupportedError(
            f"quantization {precision.storage!r} is not described; known: {', '.join(_LINEAR)}"
        )
    if not quantizes(weight, precision):
        return (weight.elements * precision.element_bytes,)
    return _LINEAR[precision.storage](weight, precision.quantization)


def _matrix(weight: Weight) -> tuple[int, int]:
    """Output rows and input columns; the leading axes of fused experts count as rows."""
    columns = weight.shape[-1]
    return weight.elements // max(columns, 1), columns
