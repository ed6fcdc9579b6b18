"""Configs of real families that say what cannot be: refused, and the field named."""

import every_family
import pytest
import small_families
from transformers import AutoModelForCausalLM

from ullage.errors import FormatError, UnsupportedError
from ullage.facts.config import read_config

NAS = every_family.OPEN["nemotron-nas"] | {"num_hidden_layers": 1}
LINEAR = {"attention": {"replace_with_linear": True}, "ffn": {"ffn_mult": 1.0}}
SLIDING = {"num_hidden_layers": 1, "layer_types": ["sliding_attention"], "sliding_window": None}
MAMBA = {"num_hidden_layers": 1, "layer_types": ["mamba"], "mamba_d_head": 7}
REFUSED = [
    ("llama4_text", {"num_hidden_layers": 4, "no_rope_layers": [1, 0]}, "no_rope_layers"),
    ("llama4_text", {"no_rope_layers": ["first"]}, "no_rope_layers"),
    ("mistral", SLIDING, "sliding_window"),
    ("jamba", {"mamba_inner_layernorms": False}, "mamba_inner_layernorms"),
    ("nemotron_h", {"hybrid_override_pattern": "M-X"}, "hybrid_override_pattern"),
    ("nemotron_h", {"layers_block_type": ["mamba", "warp"]}, "layers_block_type"),
    ("nemotron_h", {"hybrid_override_pattern": "M" * 10_001}, "at most 10000 layers"),
    ("granitemoehybrid", {"num_hidden_layers": 1, "layer_types": ["no_attention"]}, "layer_types"),
    ("granitemoehybrid", MAMBA, "mamba_d_head"),
    ("nemotron-nas", NAS | {"block_configs": [LINEAR]}, r"block_configs\[0\]"),
    ("nemotron-nas", NAS | {"block_configs": [{"attention": {}}]}, r"block_configs\[0\]"),
    ("gemma3", {"vision_config": {"model_type": "warp_tower"}}, "vision_config.model_type"),
]  # fmt: skip


@pytest.mark.parametrize(("family", "fields", "named"), REFUSED)
def test_what_a_family_cannot_be_is_named(family, fields, named):
    with pytest.raises(FormatError, match=named):
        read_config(every_family.config(family) | fields, "model", "test")


@pytest.mark.parametrize("family", ["llama", "gemma3_text", "deepseek_v3", "qwen3_next"])
def test_no_key_value_heads_are_refused_where_transformers_divides_by_them(family):
    config = small_families.config_of(family)
    config.num_key_value_heads = 0
    with pytest.raises(ZeroDivisionError):
        AutoModelForCausalLM.from_config(config)
    with pytest.raises(FormatError, match="num_key_value_heads is 0; it must be at least 1"):
        small_families.read(config)


@pytest.mark.parametrize("family", ["gpt2", "opt", "gpt_bigcode", "falcon"])
@pytest.mark.parametrize("count", [0, 2])
def test_key_value_heads_are_not_read_where_transformers_reads_none(family, count):
    usual = small_families.config_of(family)
    told = small_families.config_of(family)
    told.num_key_value_heads = count
    found = [
        [(each.mixer, each.weights) for each in small_families.read(one).layers] for one in (told, usual)
    ]
    assert found[0] == found[1]


def test_a_text_model_without_a_reader_is_refused_inside_a_vision_model():
    with pytest.raises(UnsupportedError, match="warpformer"):
        read_config({"model_type": "llava_next", "text_config": {"model_type": "warpformer"}}, "m", "test")


@pytest.mark.parametrize("family", every_family.NAMES)
def test_a_field_of_a_structure_nobody_reads_is_refused_in_every_family(family):
    config = every_family.config(family)
    inner = config.get("text_config")
    strange = {"warp_expert_rank": 7}
    where = {"text_config": inner | strange} if isinstance(inner, dict) else strange
    with pytest.raises(UnsupportedError, match="warp_expert_rank"):
        read_config(config | where, "model", "test")


def packed(**weights):
    return {"quant_method": "compressed-tensors", "config_groups": {"group_0": weights}}


STORED = [
    ({"quant_method": "gptq", "bits": 4, "group_size": 64}, ("gptq", 4, 64)),
    ({"quant_method": "awq", "bits": 4}, ("awq", 4, 128)),
    ({"quant_method": "fp8", "weight_block_size": [128, 128]}, ("fp8", 8, 128)),
    ({"quant_method": "mxfp4"}, ("mxfp4", 4, 32)),
    ({"load_in_4bit": True}, ("bitsandbytes", 4, 64)),
    ({"load_in_8bit": True}, ("bitsandbytes", 8, 64)),
    ({"quant_method": "compressed-tensors"}, ("compressed-tensors", 8, 0)),
    (packed(targets=["Linear"]), ("compressed-tensors", 8, 0)),
    (packed(weights={"num_bits": 4, "group_size": 32}), ("compressed-tensors", 4, 32)),
]


def stored_as(stored):
    config = every_family.config("llama") | {"quantization_config": stored}
    return read_config(config, "m", "test").quantization


@pytest.mark.parametrize(("stored", "expected"), STORED)
def test_how_weights_are_stored_is_read_from_the_config(stored, expected):
    found = stored_as(stored)
    assert (found.method, found.bits, found.group) == expected


def test_modules_left_alone_are_known_by_their_names():
    stored = {"quant_method": "fp8", "modules_to_not_convert": ["lm_head", "re:.*gate$", "re:.*"]}
    assert stored_as(stored).skipped == ("lm_head", "gate")


def test_an_empty_note_is_no_quantization():
    assert stored_as({}) is None


@pytest.mark.parametrize(
    "stored", [{"quant_method": "warp"}, {"quant_method": "gptq", "bits": True}, {"bits": 4}]
)
def test_weights_stored_in_an_unknown_way_are_refused(stored):
    with pytest.raises((FormatError, UnsupportedError), match="quant"):
        stored_as(stored)
