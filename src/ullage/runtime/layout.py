"""The parts of a transformers decoder, found by the names transformers gives modules.

Any decoder that follows the layout of one of these families works: Llama, Mistral, Qwen2, Qwen3, Gemma 2
and 3, Phi-3, GPT-2, GPT-NeoX, OPT, OLMo-2, Mixtral.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ullage.errors import UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn
    from transformers import PreTrainedConfig

_LAYERS = ("layers", "h", "blocks")
_EMBEDDINGS = ("embed_tokens", "wte", "embed_in", "word_embeddings")
_FINAL = ("norm", "ln_f", "final_layer_norm", "final_layernorm")


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
    from torch import nn
    from transformers import PreTrainedConfig

    base = getattr(model, getattr(model, "base_model_prefix", ""), model)
    for inner in ("language_model", "decoder"):
        if first_of(base, _LAYERS) is None:
            base = getattr(base, inner, base)
    layers, embedding = first_of(base, _LAYERS), first_of(base, _EMBEDDINGS)
    config = getattr(base, "config", None)
    if not isinstance(layers, nn.ModuleList) or not isinstance(config, PreTrainedConfig) or embedding is None:
        raise UnsupportedError(
            f"{type(model).__name__} names its layers unlike any decoder known here ({', '.join(_LAYERS)}); "
            "its states cannot be captured"
        )
    make_head: Callable[[], nn.Module | None] = getattr(model, "get_output_embeddings", lambda: None)
    return Layout(base, embedding, tuple(layers), first_of(base, _FINAL), make_head(), config)


def first_of(module: nn.Module, names: tuple[str, ...]) -> nn.Module | None:
    """The first of these parts that the module has, None where it has none."""
    from torch import nn

    parts = (getattr(module, name, None) for name in names)
    return next((part for part in parts if isinstance(part, nn.Module)), None)
