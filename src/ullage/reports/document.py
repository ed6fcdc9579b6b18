"""Models as JSON documents, versioned; docs/json.md describes them. A plan writes its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ullage.planning.document import LEVELS, VERSION, header, interval, plan_document, set_totals

if TYPE_CHECKING:
    from ullage.facts.architecture import Model

__all__ = [
    "LEVELS",
    "VERSION",
    "header",
    "interval",
    "layer_label",
    "model_document",
    "plan_document",
    "set_totals",
]


def model_document(model: Model) -> dict[str, Any]:
    """A model's parameters by component."""
    from ullage.facts.architecture import Pipeline

    common = {**header("model"), "name": model.name, "model_type": model.model_type}
    common |= {"parameters": model.parameters, "dtype": model.dtype, "source": model.source}
    stored = model.checkpoint.bytes if model.checkpoint is not None else None
    if isinstance(model, Pipeline):
        parts = {component.name: component.parameters for component in model.components}
        return {**common, "parameters_by_component": parts, "stored_bytes": stored}
    kinds: dict[str, int] = {}
    for layer in model.layers:
        kinds[layer_label(layer)] = kinds.get(layer_label(layer), 0) + 1
    return {
        **common,
        "parameters_by_component": model.parameters_by_component,
        "active_parameters": model.active_parameters,
        "published_parameters": model.published_parameters,
        "tied": model.tied,
        "hidden_size": model.hidden_size,
        "vocab_size": model.vocab_size,
        "max_positions": model.max_positions,
        "layers": kinds,
        "quantization": model.quantization.method if model.quantization is not None else None,
        "stored_bytes": stored,
    }


def layer_label(layer: Any) -> str:
    """`full attention + dense`, `mamba2 + experts`, ..."""
    from ullage.facts.architecture import Attention, Dense, LatentAttention

    mixer, part = layer.mixer, layer.feed_forward
    names = []
    if isinstance(mixer, Attention):
        names.append(f"{mixer.kind} attention")
    elif isinstance(mixer, LatentAttention):
        names.append("latent attention")
    elif mixer is not None:
        names.append(mixer.kind)
    if part is not None:
        names.append("dense" if isinstance(part, Dense) else "experts")
    return " + ".join(names) or "nothing"
