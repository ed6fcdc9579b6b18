"""Gradients and optimizer state of trained tensors."""

from __future__ import annotations

from collections.abc import Iterable
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
    here has no momentum and no state. Fused AdamW, which Trainer takes, makes nothing beside them.
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


def _state(elements: int, training: Training, width: int) -> int:
    if training.optimizer in ("none", "sgd"):
        return 0
    if training.optimizer == "adamw":
        return MOMENTS * elements * width
    if elements < SMALLEST_IN_8_BITS:
        return MOMENTS * elements * FULL
    return MOMENTS * (elements + FULL * -(-elements // BLOCK))
