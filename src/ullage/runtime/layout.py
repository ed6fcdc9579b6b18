"""The parts of a transformers decoder, found by the names transformers gives modules.

What is found is a claim: `ullage.capture.proof` holds it against transformers' own hidden states.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ullage.errors import UnsupportedError
from ullage.facts.module_names import EMBEDDINGS, FINAL, LAYERS

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn
    from transformers import PreTrainedConfig

_INNER = ("language_model", "decoder", "encoder", "model", "transformer", "backbone")
"""Parts of a model that may hold its layers."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The parts of one decoder. `base` is the module whose forward runs the layers; `head` turns the final
    norm's output into logits, None where the model was loaded without."""

    base: nn.Module
    embedding: nn.Module
    layers: tuple[nn.Module, ...]
    final_norm: nn.Module | None
    head: nn.Module | None
    config: PreTrainedConfig

    @property
    def rows(self) -> int | None:
        """How many token ids there are embeddings of; None where the embedding does not say."""
        return getattr(self.embedding, "num_embeddings", None)


def find_layout(model: nn.Module) -> Layout:
    """The layout of a transformers decoder, with or without its language-model head.

    Raises UnsupportedError for a model whose modules have other names.
    """
    from transformers import PreTrainedConfig

    base = getattr(model, getattr(model, "base_model_prefix", ""), model)
    for inner in ("language_model", "decoder", "model"):
        if _list_in(base) is None:
            base = getattr(base, inner, base)
    owner = base
    for inner in _INNER:
        if _list_in(owner) is None:
            owner = getattr(owner, inner, owner)
    layers, embedding = _list_in(owner), _embedding_in(base)
    config = getattr(base, "config", None)
    if layers is None or not isinstance(config, PreTrainedConfig) or embedding is None:
        raise UnsupportedError(
            f"{type(model).__name__} names its layers unlike any decoder known here ({', '.join(LAYERS)}); "
            "its states cannot be captured"
        )
    make_head: Callable[[], nn.Module | None] = getattr(model, "get_output_embeddings", lambda: None)
    final = first_of(base, FINAL) or (first_of(owner, FINAL) if owner is not base else None)
    return Layout(base, embedding, tuple(layers), final, make_head(), config)


def _list_in(module: object) -> nn.ModuleList | None:
    from torch import nn

    found = (getattr(module, name, None) for name in LAYERS)
    return next((each for each in found if isinstance(each, nn.ModuleList)), None)


def _embedding_in(base: nn.Module) -> nn.Module | None:
    """The table of token ids; it may lie beside others, in a part of its own."""
    found = first_of(base, EMBEDDINGS)
    if found is None or hasattr(found, "weight"):
        return found
    return first_of(found, EMBEDDINGS)


def first_of(module: nn.Module, names: tuple[str, ...]) -> nn.Module | None:
    """The first of these parts that the module has, None where it has none."""
    from torch import nn

    parts = (getattr(module, name, None) for name in names)
    return next((part for part in parts if isinstance(part, nn.Module)), None)
