"""Models as JSON documents, versioned; docs/json.md describes them. A plan writes its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ullage.planning.document import header

if TYPE_CHECKING:
    from ullage.facts.architecture import Layer, Model


def model_document(model: Model) -> dict[str, object]:
    """A model's parameters by component."""
    from ullage.facts.diffusion import Pipeline

    common = {**header("model"), "name": model.name, "model_type": model.model_type}
    common |= {"parameters": model.parameters, "dtype": model.dtype, "source": model.source}
    common |= {"parameters_by_component": parameters_by_component(model)}
    stored = stored_bytes(model)
    if isinstance(model, Pipeline):
        return {**common, "stored_bytes": stored}
    return {
        **common,
        "active_parameters": model.active_parameters,
        "published_parameters": model.published_parameters,
        "tied": model.tied,
        "hidden_size": model.hidden_size,
        "vocab_size": model.vocab_size,
        "max_positions": model.max_positions,
        "layers": layer_counts(model),
        "quantization": model.quantization.method if model.quantization is not None else None,
        "stored_bytes": stored,
    }


def parameters_by_component(model: Model) -> Mapping[str, int]:
    """Of a pipeline, of each of its models."""
    from ullage.facts.diffusion import Pipeline

    if isinstance(model, Pipeline):
        return {component.name: component.parameters for component in model.components}
    return model.parameters_by_component


def stored_bytes(model: Model) -> int | None:
    """The checkpoint's size, where it is known."""
    return None if model.checkpoint is None else model.checkpoint.bytes


def layer_counts(model: Model) -> dict[str, int]:
    """How many layers there are of each label; none of a pipeline's."""
    from ullage.facts.diffusion import Pipeline

    return {} if isinstance(model, Pipeline) else dict(Counter(map(layer_label, model.layers)))


def layer_label(layer: Layer) -> str:
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
    if layer.beside is not None:
        names.append(layer.beside.kind)
    if part is not None:
        names.append("dense" if isinstance(part, Dense) else "experts")
    return " + ".join(names) or "nothing"
