"""The language-model head, applied to the positions that are kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ullage.facts.families.places import LOGIT_CAPS, LOGIT_DIVISORS, LOGIT_FACTORS
from ullage.runtime.layout import Layout

if TYPE_CHECKING:
    from torch import Tensor


def logits_of(hidden: Tensor, layout: Layout) -> Tensor:
    """(positions, vocabulary) logits of final-norm outputs (positions, hidden), as the model's own forward
    computes them: scaled (Cohere, Granite) and soft-capped (Gemma 2) where its config says so, in place: they
    are the largest tensor of many a pass."""
    import torch

    head = layout.head
    assert head is not None
    assert isinstance(head.weight, torch.Tensor)
    found: Tensor = head(hidden.to(head.weight.device))
    for factor in _set(layout, LOGIT_FACTORS):
        found.mul_(factor)
    for divisor in _set(layout, LOGIT_DIVISORS):
        found.div_(divisor)
    for cap in _set(layout, LOGIT_CAPS)[:1]:
        found.div_(cap).tanh_()
        found = found * cap if found.requires_grad else found.mul_(cap)  # a graph needs tanh's own result
    return found


def _set(layout: Layout, names: tuple[str, ...]) -> list[float]:
    """What the model's config gives these fields, where it gives them any."""
    return [value for name in names if (value := getattr(layout.config, name, None))]
