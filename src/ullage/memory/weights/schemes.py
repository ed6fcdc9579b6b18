"""How a quantization scheme stores one weight: the sizes of the tensors it becomes."""

from __future__ import annotations

from ullage.facts.architecture import StoredQuantization, Weight
from ullage.facts.dtypes import DTYPES
from ullage.facts.quantization.scheme import Part
from ullage.memory.weights.precision import ResolvedPrecision


def quantizes(weight: Weight, precision: ResolvedPrecision) -> bool:
    """Whether `precision` replaces this weight, or leaves it in the compute dtype."""
    scheme = precision.scheme
    if scheme is None or weight.role not in scheme.replaces:
        return False
    stored = precision.quantization
    return stored is None or not any(name in weight.name for name in stored.skipped)


def stored_tensors(weight: Weight, precision: ResolvedPrecision) -> tuple[int, ...]:
    """Bytes of each tensor `weight` is held as on a device.

    Raises UnsupportedError for a precision that no scheme describes.
    """
    scheme = precision.scheme
    if scheme is None:
        return (weight.elements * DTYPES[precision.storage],)
    if not quantizes(weight, precision):
        return (weight.elements * precision.element_bytes,)
    return tuple(part_bytes(part, weight, precision.quantization) for part in scheme.parts)


def part_bytes(part: Part, weight: Weight, stored: StoredQuantization | None = None) -> int:
    """Bytes of one tensor of a quantized matrix; the leading axes of fused experts count as rows."""
    columns = weight.shape[-1]
    rows = weight.elements // max(columns, 1)
    given = stored.group if stored is not None else 0
    count = 1
    if part.per == "element":
        count = weight.elements
    elif part.per == "block":
        count = _up(weight.elements, part.size)
    elif part.per == "group":
        count = rows * _up(columns, (given if given > 0 else part.size) or columns)
    elif part.per == "tile" and given > 1:
        count = _up(rows, given) * _up(columns, given)
    elif part.per in ("tile", "row"):
        count = rows
    elif part.per == "column":
        count = columns
    return _up(count * part.bits, 8)


def _up(value: int, unit: int) -> int:
    return -(-value // unit)
