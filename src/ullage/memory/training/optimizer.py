"""Gradients and optimizer state of trained tensors."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Final

from ullage.memory.forward.one_pass import FULL
from ullage.spec.training import Training

MOMENTS: Final = 2
SMALLEST_IN_8_BITS: Final = 4096
"""Elements from which a tensor's moments are in 8 bits (`min_8bit_size`, bitsandbytes 0.50)."""
SMALLEST_PAGED: Final = 100_000
"""Elements from which a tensor's state lies in unified memory (`get_state_buffer`, bitsandbytes 0.50)."""
BLOCK: Final = 256
"""Elements that share an fp32 scale of each moment."""


def gradient_bytes(tensors: Iterable[int], training: Training, width: int) -> int:
    """One gradient for each element of `tensors`, in the dtype of what is trained (`width`) or in fp32."""
    return sum(tensors) * (FULL if training.gradient_dtype == "fp32" else width)


def optimizer_bytes(tensors: Iterable[int], training: Training, width: int, master: bool) -> tuple[int, int]:
    """State of the optimizer with the fp32 copy it steps, (on the device, in unified memory).

    torch.optim keeps AdamW's moments in the parameter's dtype (`width`), over a `master` copy in fp32. SGD
    here has no momentum and no state.
    """
    here = paged = 0
    for elements in tensors:
        state = _state(elements, training, FULL if master else width)
        if training.optimizer == "paged-adamw-8bit" and elements >= SMALLEST_PAGED:
            paged += state
        else:
            here += state
        here += elements * FULL if master else 0
    return here, paged


def stepping_bytes(tensors: Sequence[int], training: Training, width: int, processor: bool) -> int:
    """What a step makes beside parameters of `width` bytes an element, their gradients and its state.

    torch.optim.AdamW that is not fused, on a card: the roots of all second moments at once, a copy of all
    that is trained (`_multi_tensor_adam`, optim/adam.py of torch 2.13); on a processor, tensor by tensor, a
    root and what it is divided to, beside what is left of the tensor before (`_single_tensor_adam`). Fused
    AdamW, which Trainer takes, SGD and bitsandbytes' make nothing.
    """
    if training.optimizer != "adamw-torch":
        return 0
    if not processor:
        return sum(tensors) * width
    return max((before + 2 * size for before, size in pairwise((0, *tensors))), default=0) * width


def _state(elements: int, training: Training, width: int) -> int:
    if training.optimizer in ("none", "sgd"):
        return 0
    if training.optimizer in ("adamw", "adamw-torch"):
        return MOMENTS * elements * width
    if elements < SMALLEST_IN_8_BITS:
        return MOMENTS * elements * FULL
    return MOMENTS * (elements + FULL * -(-elements // BLOCK))
