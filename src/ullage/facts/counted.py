"""A model that no row describes: its weights, block by block, as transformers itself builds them."""

# Annotations are not postponed here: pydantic reads these values from a file.

from collections.abc import Mapping
from typing import NamedTuple

from ullage.facts.architecture import Architecture, Layer, Weight
from ullage.facts.quantization.checkpoint import read_quantization

Weights = tuple[Weight, ...]


class Counted(NamedTuple):
    """What a model's own code says of it. `kinds` are the weights of layers that differ, `layers` the kind of
    each; `under` is the release that counted. The other fields are an `Architecture`'s."""

    model_type: str
    hidden_size: int
    vocab_size: int
    max_positions: int | None
    dtype: str
    embeddings: Weights
    kinds: tuple[Weights, ...]
    layers: tuple[int, ...]
    final: Weights
    head: Weights
    under: str


def described(found: Counted, config: Mapping[str, object], name: str, source: str) -> Architecture:
    """The model of `config`; nothing is known of its layers but their weights."""
    kinds = [Layer(None, None, weights) for weights in found.kinds]
    return Architecture(
        name=name,
        model_type=found.model_type,
        hidden_size=found.hidden_size,
        vocab_size=found.vocab_size,
        max_positions=found.max_positions,
        layers=tuple(kinds[kind] for kind in found.layers),
        embeddings=found.embeddings,
        final=found.final,
        head=found.head,
        dtype=found.dtype,
        source=source,
        quantization=read_quantization(config.get("quantization_config"), name),
        counted=found.under,
    )
