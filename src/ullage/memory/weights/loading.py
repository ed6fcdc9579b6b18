"""The peak while weights are being loaded."""

from __future__ import annotations

from ullage.facts.architecture import Architecture
from ullage.facts.dtypes import SHORT_NAMES
from ullage.memory.weights.beside import adapter_load
from ullage.memory.weights.precision import ResolvedPrecision
from ullage.memory.weights.schemes import quantizes
from ullage.memory.weights.tensors import distinct_layers
from ullage.units import Interval

BUFFERS = 64 * 1024
"""Room for tables that are made beside the checkpoint's tensors, such as rotary frequencies."""


def load_bytes(architecture: Architecture, precision: ResolvedPrecision, on_card: bool) -> Interval:
    """Temporary bytes beyond the weights themselves.

    A tensor that is quantized on the device stands there once more in its stored dtype; a fused expert tensor
    is merged from its parts. One that is only read in another dtype stands there twice on a processor alone:
    on its way to a card it is cast on the host (ATen/native/cuda/Copy.cu of torch 2.11 casts at the source;
    no byte more on an H200). The high value allows two tensors in conversion, a tied output layer that the
    checkpoint stores all the same, and small tables.
    """
    width = precision.element_bytes
    source = {"float32": 4, "float64": 8}.get(architecture.dtype, 2)
    recast = SHORT_NAMES.get(architecture.dtype) != precision.compute
    scheme = precision.scheme
    # Other schemes' checkpoints hold what runs.
    on_load = scheme is not None and scheme.on_load is not None and precision.quantization is None
    converted = merged = 0
    layers = [layer.weights for layer, _ in distinct_layers(architecture)]
    for weights in (*layers, architecture.embeddings, architecture.head):
        for weight in weights:
            quantized = quantizes(weight, precision)
            if on_load if quantized else recast and not on_card:
                converted = max(converted, weight.elements * source)
            if weight.role == "experts" and precision.quantization is None:
                merged = max(merged, weight.elements * width)
    tied = architecture.vocab_size * architecture.hidden_size * width if architecture.tied else 0
    expected = max(converted, merged)
    read = 0 if architecture.adapter is None else adapter_load(architecture.adapter)
    return Interval(0, expected, max(2 * converted, merged, tied, read) + BUFFERS)


def tied_head_bytes(architecture: Architecture, precision: ResolvedPrecision) -> int:
    """The second copy of a tied output layer while an AutoAWQ checkpoint loads.

    AutoAWQ saves `lm_head` although it is tied; it stands on the device until weights are tied
    again. Source: the AWQ rows of the Qwen2.5 measurements at one prompt token, whose excess over
    the weights is vocabulary x hidden x 2 bytes for each of the three tied models.
    """
    scheme = precision.scheme
    if scheme is None or not scheme.stores_tied_head or not architecture.tied:
        return 0
    return architecture.vocab_size * architecture.hidden_size * precision.element_bytes
