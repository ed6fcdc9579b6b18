"""The peak while weights are being loaded."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

from ullage.facts.architecture import Architecture, Weight
from ullage.facts.dtypes import SHORT_NAMES
from ullage.memory.weights.beside import adapter_load
from ullage.memory.weights.precision import ResolvedPrecision
from ullage.memory.weights.schemes import part_bytes, quantizes, stored_tensors
from ullage.memory.weights.tensors import distinct_layers
from ullage.units import Interval

INT32 = 4
BUFFERS = 64 * 1024
"""Room for tables that are made beside the checkpoint's tensors, such as rotary frequencies."""


def load_bytes(architecture: Architecture, precision: ResolvedPrecision, on_card: bool) -> Interval:
    """Temporary bytes beyond the weights themselves.

    A tensor that is quantized on the device stands there once more in its stored dtype; a fused expert tensor
    is merged from its parts. One that is only read in another dtype stands there twice on a processor alone:
    on its way to a card it is cast on the host (ATen/native/cuda/Copy.cu of torch 2.11 casts at the source;
    no byte more on an H200). What a scheme lets go of once all is loaded stands there until then, beside the
    largest matrix that is laid out anew. The high value allows two tensors in conversion, a tied output layer
    that the checkpoint is known to store all the same, small tables, and that matrix in int32, as gptqmodel's
    kernel for Hopper unpacks it first (utils/machete.py, 7.3).
    """
    width = precision.element_bytes
    source = {"float32": 4, "float64": 8}.get(architecture.dtype, 2)
    recast = SHORT_NAMES.get(architecture.dtype) != precision.compute
    scheme = precision.scheme
    # Other schemes' checkpoints hold what runs.
    on_load = scheme is not None and scheme.by_transformers and precision.quantization is None
    converted = merged = beside = laid_out = unpacked = 0
    parts = [(layer.weights, len(blocks)) for layer, blocks in distinct_layers(architecture)]
    for weights, count in (*parts, (architecture.embeddings, 1), (architecture.head, 1)):
        for weight in weights:
            quantized = quantizes(weight, precision)
            if quantized and scheme is not None and scheme.loading:
                stored = precision.quantization
                beside += count * sum(part_bytes(part, weight, stored) for part in scheme.loading)
                laid_out = max(laid_out, stored_tensors(weight, precision)[0])
                unpacked = max(unpacked, INT32 * weight.elements)
            if on_load if quantized else recast and not on_card:
                converted = max(converted, weight.elements * source)
            if weight.role == "experts" and precision.quantization is None:
                merged = max(merged, weight.elements * width)
    tied = architecture.vocab_size * architecture.hidden_size * width if _stores_head(architecture) else 0
    expected = max(converted, merged, beside + laid_out)
    read = 0 if architecture.adapter is None else adapter_load(architecture.adapter)
    return Interval(
        0, expected, max(2 * converted, merged, tied, read, beside + 2 * laid_out + unpacked) + BUFFERS
    )


def _stores_head(architecture: Architecture) -> bool:
    """Whether a checkpoint whose headers were read holds an output layer although it is tied."""
    checkpoint = architecture.checkpoint
    return (
        architecture.tied
        and checkpoint is not None
        and any(tensor.name.endswith("lm_head.weight") for tensor in checkpoint.tensors)
    )


@lru_cache(maxsize=256)
def with_kept_head(model: Architecture, precision: ResolvedPrecision) -> Architecture:
    """The model as transformers holds it: with an output layer of its own where its checkpoint stores a tied
    one that stays.

    transformers ties two tensors that a checkpoint both holds only where they are equal
    (modeling_utils.py `tie_weights`, 5.19). Qwen3-1.7B-FP8 was measured with a second one on an H200.
    """
    scheme = precision.scheme
    if scheme is None or not scheme.keeps_tied_head or not model.tied:
        return model
    if model.checkpoint is not None and not _stores_head(model):
        return model
    head = Weight("lm_head.weight", (model.vocab_size, model.hidden_size), "head")
    return replace(model, head=(head,))


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
