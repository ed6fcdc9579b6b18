"""Writes the defaults of transformers' configuration classes that `ullage.facts.config` fills in.

    python tools/dump_config_defaults.py > src/ullage/facts/data/config_defaults.json

A config.json on a hub holds only what differs from its class, so a reader without the class needs them.
"""

import json
import sys

import transformers
from transformers import AutoConfig

from ullage.facts.families.rows import known_types

TOWERS = ("clip_vision_model", "siglip_vision_model", "pixtral")
MODEL_TYPES = (*known_types(), *TOWERS)
NESTED = ("text_config", "vision_config")
NOISE = {
    "transformers_version",
    "architectures",
    "id2label",
    "label2id",
    "_name_or_path",
    "return_dict",
    "output_attentions",
    "output_hidden_states",
    "output_router_logits",
    "chunk_size_feed_forward",
    "is_encoder_decoder",
    "problem_type",
    "use_cache",
    "bos_token_id",
    "eos_token_id",
    "pad_token_id",
    "dtype",
    "rope_parameters",
    "rope_scaling",
}
ACTIVATIONS = ("hidden_act", "activation_function", "hidden_activation", "activation")
"""Some are written with many tensors, others with one."""


def structural(value: object) -> bool:
    """Whether a shape can depend on it: a number, a flag, nothing, or a list without fractions."""
    if isinstance(value, list):
        return all(isinstance(item, bool | int | str) for item in value)
    return value is None or isinstance(value, bool | int)


def plain(config: dict) -> dict:
    """Numbers, flags, short lists and names of activations: what a shape can depend on."""
    kept = {}
    for key, value in config.items():
        if key in NESTED and isinstance(value, dict):
            kept[key] = plain(value)
        elif key in ("model_type", *ACTIVATIONS) or (key not in NOISE and structural(value)):
            kept[key] = value
    return kept


PROBES = {
    "num_attention_heads": 2,
    "hidden_size": 2,
    "num_hidden_layers": 2,
    "intermediate_size": 2,
    "n_embd": 2,
    "n_head": 2,
    "d_model": 2,
}


def derived(model_type: str, config: dict) -> set[str]:
    """Fields that follow from others: those that move when only another one is changed."""
    found = {"layer_types", "no_rope_layers", "moe_layers", "mlp_layer_types"}
    for probe, factor in PROBES.items():
        if not isinstance(config.get(probe), int):
            continue
        try:
            other = plain(AutoConfig.for_model(model_type, **{probe: config[probe] * factor}).to_dict())
        except Exception:
            continue
        found |= {key for key, value in other.items() if key != probe and config.get(key) != value}
    return found - set(NESTED)


def main() -> None:
    defaults = {}
    for model_type in MODEL_TYPES:
        try:
            config = plain(AutoConfig.for_model(model_type).to_dict())
            for key in derived(model_type, config):
                config.pop(key, None)
            for nested in NESTED:
                inner = config.get(nested)
                if inner:
                    for key in derived(inner["model_type"], inner):
                        inner.pop(key, None)
            defaults[model_type] = config
        except (ValueError, KeyError) as error:
            print(f"{model_type}: {error}", file=sys.stderr)
    document = {"transformers": transformers.__version__, "defaults": defaults}
    json.dump(document, sys.stdout, indent=1, sort_keys=True)
    print()


if __name__ == "__main__":
    main()
