"""Which models transformers runs with flash-attn, and what a plan says of the others."""

import pytest
import transformers
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES,
)

from ullage import api
from ullage.errors import UnsupportedError
from ullage.facts.families.rows import known_types
from ullage.memory.refusals import WITHOUT_FLASH

CLASSES = MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES | MODEL_FOR_CAUSAL_LM_MAPPING_NAMES


def runs_flash(model_type):
    name = CLASSES[model_type]
    made = getattr(transformers, name if isinstance(name, str) else name[0])
    others = getattr(made, "_compatible_flash_implementations", None)
    return made._supports_flash_attn and (not others or "flash_attention_2" in others)


@pytest.mark.long
@pytest.mark.parametrize("model_type", sorted(set(known_types()) & set(CLASSES)))
def test_a_type_without_flash_is_one_that_transformers_refuses_it_for(model_type):
    assert runs_flash(model_type) == (model_type not in WITHOUT_FLASH)


def test_it_is_refused_by_name_and_never_advised():
    fields = {"prompt_tokens": 256, "new_tokens": 64}
    with pytest.raises(UnsupportedError, match="attention: flash is not what transformers runs gpt_oss with"):
        api.estimate_model("openai/gpt-oss-20b", "H100", attention="flash", **fields)
    plan = api.estimate_model("openai/gpt-oss-20b", "H100", advice=True, **fields)
    assert plan.advice
    assert all(("roles.model.attention", "flash") not in entry.changes for entry in plan.advice)
