"""Sites of the whole model: its embedding, its final norm and its logits."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final, Literal

from ullage.capture.identities import POST, TOLERANCE, Broken, Recorded, far
from ullage.capture.logits import logits_of
from ullage.memory.captures.sites import LOGITS
from ullage.runtime.layout import Layout

if TYPE_CHECKING:
    from torch import Tensor, nn

Normed = Literal["rms", "layer"]
NORMALIZED: Final = "ln_final.hook_normalized"


def without_gain(states: Tensor, norm: nn.Module, how: Normed) -> Tensor:
    """What a norm makes of its input before gain and bias, in the input's dtype; computed in fp32."""
    wide = states.float()
    if how == "layer":
        wide = wide - wide.mean(-1, keepdim=True)
    return (wide * (wide.square().mean(-1, keepdim=True) + _epsilon(norm)).rsqrt()).to(states.dtype)


def _epsilon(norm: nn.Module) -> float:
    found = (getattr(norm, name, None) for name in ("eps", "variance_epsilon", "epsilon", "norm_eps"))
    return next((each for each in found if isinstance(each, float)), 0.0)


def model_sites(
    model: nn.Module, layout: Layout, ids: Tensor, hidden: Sequence[Tensor], last: Recorded
) -> Mapping[str, str | Broken]:
    """Which of the model's own sites hold: a word for how, or what is broken. What it lacks is not in it.

    `hidden` are transformers' hidden states of `ids`, `last` the last block, whose own last state is the
    normed one where the model norms it: that is put right here.
    """
    import torch

    found: dict[str, str | Broken] = {}
    with torch.no_grad():
        embedded = layout.embedding(ids)
        fits = embedded.shape[:2] == ids.shape and embedded.ndim == 3
        found["hook_embed"] = (
            "table" if fits else Broken("the embedding is (batch, tokens, hidden)", math.inf)
        )
        if layout.final_norm is None or not hidden:
            return found
        leaving = last.state(POST)
        try:
            normed = layout.final_norm(leaving)
        except (RuntimeError, TypeError, ValueError):
            return found
        error = far(normed, hidden[-1])
        if error > TOLERANCE:
            return found | {
                "ln_final": Broken("final norm of the last resid_post = last hidden state", error)
            }
        last.last = leaving
        found["ln_final"] = "norm"
        found[NORMALIZED] = _normalized(leaving, normed, layout.final_norm)
        if layout.head is not None:
            true = model(input_ids=ids, use_cache=False).logits
            error = far(logits_of(normed, layout), true)
            found[LOGITS] = "head" if error <= TOLERANCE else Broken("head of ln_final = logits", error)
    return found


def _normalized(leaving: Tensor, normed: Tensor, norm: nn.Module) -> str | Broken:
    """How the norm works, known by what its gain and bias make of it."""
    weight, bias = getattr(norm, "weight", None), getattr(norm, "bias", None)
    errors = []
    hows: tuple[Normed, ...] = ("rms", "layer")
    for how in hows:
        plain = without_gain(leaving, norm, how)
        for gain in (1.0,) if weight is None else (weight, 1.0 + weight):
            made = plain * gain
            error = far(made if bias is None else made + bias, normed)
            if error <= TOLERANCE:
                return how
            errors.append(error)
    return Broken("normalized, with the norm's gain and bias, = ln_final", min(errors))
