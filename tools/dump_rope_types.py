"""Writes which types of models transformers stretches by a rope scaling, each kind built and looked at.

    python tools/dump_rope_types.py > src/ullage/facts/data/rope_types.json

`every` can do all of `ullage.facts.rope.KINDS`, `some` those that are named; of the rest none is known
to do any. `own` are those whose configuration class has a scaling by itself.
"""

import copy
import json
import os
import sys

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
import transformers
from transformers import CONFIG_MAPPING, AutoModel, AutoModelForCausalLM
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES as WRITERS

from ullage.facts.config import known_types
from ullage.facts.rope import KINDS, Rope
from ullage.runtime.rope_scaling import applied, stretch

LENGTH = 4096


def kinds_of(model_type):
    """Kinds that a model of this type has in its rotary modules when they are asked of its config."""
    found = []
    for kind in KINDS:
        config = CONFIG_MAPPING[model_type]()
        text = config.get_text_config()
        for each in (config, text):
            each.rope_parameters = plain(getattr(each, "rope_parameters", None))
        try:
            stretch(config, Rope(kind, 4.0, LENGTH), model_type)
            with torch.device("meta"):
                if model_type in WRITERS:
                    model = AutoModelForCausalLM.from_config(config)
                else:
                    model = AutoModel.from_config(text)
        except Exception as error:  # whatever it is: transformers cannot
            print(f"{model_type} {kind}: {type(error).__name__} {str(error)[:90]!r}", file=sys.stderr)
            continue
        if applied(model, kind):
            found.append(kind)
    return found


def plain(rope):
    """Without the scaling that the class itself has."""
    if not isinstance(rope, dict):
        return rope
    if any(isinstance(value, dict) for value in rope.values()):
        return {key: plain(value) for key, value in rope.items()}
    kept = {key: rope[key] for key in ("rope_theta", "partial_rotary_factor", "mrope_section") if key in rope}
    return {"rope_type": "default", **copy.deepcopy(kept)}


def own(model_type):
    """The kind of scaling a config of this type has when nothing is said."""
    rope = getattr(CONFIG_MAPPING[model_type]().get_text_config(), "rope_parameters", None) or {}
    whole = rope.get("full_attention") if isinstance(rope.get("full_attention"), dict) else rope
    return whole.get("rope_type", "default")


def main():
    transformers.logging.set_verbosity_error()
    every, some, owned = [], {}, {}
    for model_type in sorted({*WRITERS, *known_types()} & set(CONFIG_MAPPING)):
        try:
            kind = own(model_type)
            found = kinds_of(model_type)
        except Exception as error:  # no config of this class without more than its name
            print(f"{model_type}: {type(error).__name__}", file=sys.stderr)
            continue
        if found == list(KINDS):
            every.append(model_type)
        elif found:
            some[model_type] = found
        if found and kind != "default":
            owned[model_type] = kind
    table = {"transformers": transformers.__version__, "every": every, "some": some, "own": owned}
    json.dump(table, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
