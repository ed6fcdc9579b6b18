"""How tensors pass through a family's layers, as its modeling file in transformers 5.19 has it."""

from __future__ import annotations

from typing import Final

from ullage.facts.architecture import Flow
from ullage.facts.families.fields import Fields

_RMS: Final = Flow()
_FLOWS: Final = {
    "gemma": Flow(norm="rms-fp32"),
    "gemma2": Flow(norm="rms-fp32", order="sandwich"),
    "gemma3_text": Flow(norm="rms-fp32", order="sandwich"),
    "olmo2": Flow(order="post"),
    "gpt2": Flow(norm="layer", rotary=0.0, positions="shared", keeps_attention=True),
    "opt": Flow(norm="layer", rotary=0.0, positions="each", scales_query=True, drops_normed=True),
    "gpt_neox": Flow(norm="layer", order="parallel", joins_rotary=True),
    "falcon": Flow(norm="layer", order="parallel"),
    "phi": Flow(norm="layer", order="parallel", joins_rotary=True),
    "cohere": Flow(norm="layer", order="parallel"),
    "cohere2": Flow(norm="layer", order="parallel"),
    "starcoder2": Flow(norm="layer"),
    "phi3": Flow(joins_rotary=True),
    "glm": Flow(joins_rotary=True),
}
_CHAINED: Final = frozenset({"gelu_new", "gelu_fast", "gelu_python"})
"""Activations written as a chain of elementwise operations, each with its own result."""


def flow_of(model_type: str, fields: Fields) -> Flow:
    """The flow of a family's layers under one config."""
    flow = _FLOWS.get(model_type, _RMS)
    changes: dict[str, object] = {}
    activation = fields.raw("hidden_act", "activation_function", "hidden_activation")
    if activation in _CHAINED:
        changes["chained_activation"] = True
    if model_type == "gpt_neox" and fields.raw("use_parallel_residual") is False:
        changes["order"] = "pre"
    share = _rotary_share(fields)
    if flow.rotary and share is not None:
        changes["rotary"] = share
    if fields.raw("attn_logit_softcapping"):
        changes["soft_capped"] = True
    return flow.with_(changes)


def _rotary_share(fields: Fields) -> float | None:
    """Share of a head that is rotated, where the config says."""
    share = fields.raw("partial_rotary_factor", "rotary_pct")
    parameters = fields.raw("rope_parameters")
    if share is None and isinstance(parameters, dict):
        share = parameters.get("partial_rotary_factor")
    if isinstance(share, int | float) and not isinstance(share, bool) and 0 <= share <= 1:
        return float(share)
    return None
