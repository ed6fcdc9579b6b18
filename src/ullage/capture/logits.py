"""The language-model head, applied to the positions that are kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ullage.facts.families.places import LOGIT_CAPS, LOGIT_DIVISORS, LOGIT_FACTORS
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
    for name in LOGIT_FACTORS:
        found = found * (getattr(config, name, None) or 1.0)
    for name in LOGIT_DIVISORS:
        found = found / (getattr(config, name, None) or 1.0)
    caps = (getattr(config, name, None) for name in LOGIT_CAPS)
    cap = next((each for each in caps if each), None)
    return found if cap is None else torch.tanh(found / cap) * cap
