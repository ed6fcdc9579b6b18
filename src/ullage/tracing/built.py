"""A model on fake tensors in the form in which a run loads it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, cast

import torch

from ullage.errors import UnsupportedError
from ullage.facts.dtypes import TORCH_NAMES
from ullage.memory.traced import Asked
from ullage.runtime.device_map import AutoModels
from ullage.runtime.kernels import SDPA_MATH, register_math
from ullage.runtime.libraries import find_transformers, in_turn
from ullage.runtime.loader import KERNELS

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel

LONGEST_SAID: Final = 200
"""Characters of what torch or transformers say of a model that cannot be traced."""


@in_turn
def config_from(name: str, values: Mapping[str, object]) -> PreTrainedConfig:
    """transformers' config of a model. Raises UnsupportedError where it reads none."""
    known = find_transformers().CONFIG_MAPPING
    log = logging.getLogger("transformers.configuration_utils")
    told, log.disabled = log.disabled, True  # what it logs of a config that it refuses is what it raises
    try:
        kind: type[PreTrainedConfig] = known[values["model_type"]]
        return kind.from_dict(_with_floats(dict(values)))
    except Exception as error:  # whatever the config's own code says of such values
        raise UnsupportedError(
            f"{name}: cannot be traced: transformers reads no such config: {said_by(error)}"
        ) from error
    finally:
        log.disabled = told


def _with_floats(value: Any) -> Any:
    """JSON knows no infinite number: transformers writes it as an object (`_encode_special_floats`)."""
    if isinstance(value, dict):
        if value.keys() == {"__float__"}:
            return float(str(value["__float__"]))
        return {name: _with_floats(each) for name, each in value.items()}
    return [_with_floats(each) for each in value] if isinstance(value, list) else value


def build(config: PreTrainedConfig, asked: Asked) -> PreTrainedModel:
    """The model as it is loaded for a run, in eval mode; inside a fake mode, without values.

    Raises UnsupportedError for one that is to write and is, to transformers, no causal language model.
    """
    from transformers import AutoModel, AutoModelForCausalLM
    from transformers.initialization import no_init_weights

    if asked.kernel == SDPA_MATH:
        register_math()
    writes = type(config) in AutoModelForCausalLM._model_mapping
    if not writes and asked.work.activity in ("prefill", "decode") and asked.work.caches:
        raise UnsupportedError(
            f"{asked.model}: {config.model_type} is no causal language model of transformers, as one that "
            "looks at pictures: what it writes is not traced; the formulas plan it (ullage plan)"
        )
    kind = cast("AutoModels", AutoModelForCausalLM if writes else AutoModel)
    dtype = getattr(torch, TORCH_NAMES[asked.compute])
    with no_init_weights():
        model = kind.from_config(config, dtype=dtype, attn_implementation=KERNELS[asked.kernel])
    model.tie_weights()
    model.eval()
    return model


def said_by(error: BaseException) -> str:
    """What an exception says, in one line."""
    return " ".join(str(error).split())[:LONGEST_SAID]
