"""A rope scaling that a role asks for, put into a model's config before the model is made."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ullage.errors import UnsupportedError
from ullage.facts.rope import Rope, parse_rope

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedConfig

    from ullage.spec.role import Role


def stretch(config: PreTrainedConfig, rope: Rope, name: str) -> None:
    """Sets `rope_parameters` and `max_position_embeddings` of a decoder's config as its config.json would.

    Where layers of several kinds have frequencies of their own, those of full attention are stretched. Raises
    UnsupportedError for a config without them, and one that has a scaling already.
    """
    text = config.get_text_config()
    given = getattr(text, "rope_parameters", None)
    rotary: Mapping[str, object] = given if isinstance(given, Mapping) else {}
    full = rotary.get("full_attention")
    plain = full if isinstance(full, Mapping) else rotary
    if "rope_theta" not in plain:
        raise UnsupportedError(f"{name}: rope: its config has no rotary positions that could be stretched")
    own = plain.get("rope_type", "default")
    if own != "default":
        raise UnsupportedError(
            f"{name}: rope: its own positions are {own}, which a second scaling would undo; leave rope out"
        )
    original = rope.original or int(text.max_position_embeddings)
    asked: dict[str, object] = {**plain, "rope_type": rope.kind, "factor": rope.factor}
    if rope.kind in ("yarn", "llama3"):
        asked["original_max_position_embeddings"] = original
    if rope.kind == "llama3":
        asked |= {"low_freq_factor": 1.0, "high_freq_factor": 4.0}  # Llama 3.1's
    text.rope_parameters = asked if plain is rotary else {**rotary, "full_attention": asked}
    # transformers takes max_position_embeddings for what a dynamic scaling stretches.
    longest = original if rope.kind == "dynamic" else math.floor(original * rope.factor)
    text.max_position_embeddings = longest
    if vars(text).get("head_dim", 0) is None:  # which yarn and dynamic then multiply by
        text.head_dim = text.hidden_size // text.num_attention_heads


def check_applied(model: nn.Module, role: Role) -> None:
    """Raises UnsupportedError where a model was made without the scaling that its role asks for."""
    if role.rope is not None and not applied(model, parse_rope(role.rope).kind):
        raise UnsupportedError(
            f"{role.model}: rope: {role.rope}: {type(model).__name__} does not do it; leave rope out"
        )


def applied(model: nn.Module, kind: str) -> bool:
    """Whether a module of the model has rotary frequencies of this kind."""
    for module in model.modules():
        held = getattr(module, "rope_type", None)
        if held == kind or (isinstance(held, Mapping) and kind in held.values()):
            return True
    return False


def overrides(folder: Path, role: Role) -> dict[str, object]:
    """What vLLM is to set in the config of the model in `folder`, its `hf_overrides`.

    It multiplies a model's positions by the factor itself, but for llama3's.
    """
    from transformers import AutoConfig

    assert role.rope is not None
    rope = parse_rope(role.rope)
    config = AutoConfig.from_pretrained(
        str(folder), local_files_only=True, trust_remote_code=role.trust_remote_code
    )
    text = config.get_text_config()
    positions = int(text.max_position_embeddings)
    stretch(config, rope, role.model)
    if rope.kind != "llama3":
        text.max_position_embeddings = rope.original or positions
    found: dict[str, object] = {
        "rope_parameters": dict(text.rope_parameters),
        "max_position_embeddings": text.max_position_embeddings,
    }
    return found if text is config else {"text_config": found}
