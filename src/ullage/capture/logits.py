"""The language-model head, applied to the positions that are kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ullage.runtime.layout import Layout

if TYPE_CHECKING:
    from torch import Tensor


def logits_of(hidden: Tensor, layout: Layout) -> Tensor:
    """(positions, vocabulary) logits of final-norm outputs (positions, hidden), as the model's own forward
    computes them: scaled (Cohere, Granite) and soft-capped (Gemma 2) where its config says so."""
    import torch

    head = layout.head
    assert head is not None
    assert isinstance(head.weight, torch.Tensor)
    found: Tensor = head(hidden.to(head.weight.device))
    config = layout.config
    scale = getattr(config, "logit_scale", None)
    if scale is not None:
        found = found * scale
    divisor = getattr(config, "logits_scaling", None)
    if divisor is not None:
        found = found / divisor
    cap = getattr(config, "final_logit_softcapping", None)
    return found if cap is None else torch.tanh(found / cap) * cap
