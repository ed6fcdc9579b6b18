"""Models as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field
from typing_extensions import TypedDict

from ullage.documents import VERSION, document

if TYPE_CHECKING:
    from ullage.facts.architecture import Layer, Model


class OfLayers(TypedDict, total=False):
    """What is said of any model but a pipeline of several: how many layers there are of each label, ..."""

    active_parameters: int
    published_parameters: int | None
    tied: bool
    hidden_size: int
    vocab_size: int
    max_positions: int | None
    layers: Mapping[str, int]
    quantization: str | None


class ModelDocument(OfLayers):
    """A model's parameters by component; in a list too each begins as a document."""

    document: Literal["model"]
    version: Literal[1]
    name: str
    model_type: str
    parameters: Annotated[int, Field(ge=1)]
    dtype: str
    source: str
    parameters_by_component: Mapping[str, int]
    stored_bytes: int | None


@dataclass(frozen=True, slots=True)
class ModelsDocument:
    """The catalog."""

    models: tuple[ModelDocument, ...]


def model_document(model: Model) -> dict[str, object]:
    """As JSON."""
    return document("model", ModelDocument, _model(model))


def models_document(models: Iterable[Model]) -> dict[str, object]:
    """As JSON; each is a document of its own."""
    return document("models", ModelsDocument, ModelsDocument(tuple(map(_model, models))))


def _model(model: Model) -> ModelDocument:
    return {
        "document": "model",
        "version": VERSION,
        "name": model.name,
        "model_type": model.model_type,
        "parameters": model.parameters,
        "dtype": model.dtype,
        "source": model.source,
        "parameters_by_component": parameters_by_component(model),
        **_of_layers(model),
        "stored_bytes": stored_bytes(model),
    }


def _of_layers(model: Model) -> OfLayers:
    from ullage.facts.diffusion import Pipeline

    if isinstance(model, Pipeline):
        return {}
    return {
        "active_parameters": model.active_parameters,
        "published_parameters": model.published_parameters,
        "tied": model.tied,
        "hidden_size": model.hidden_size,
        "vocab_size": model.vocab_size,
        "max_positions": model.max_positions,
        "layers": layer_counts(model),
        "quantization": model.quantization.method if model.quantization is not None else None,
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
