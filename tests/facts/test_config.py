"""What a config.json may say wrongly, and what is refused rather than guessed."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ullage.errors import FormatError, InputError, UnknownNameError, UnsupportedError
from ullage.facts.config import parse_config, read_config
from ullage.facts.families.rows import known_types
from ullage.facts.model import open_model

LLAMA = {
    "model_type": "llama",
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "vocab_size": 128,
}


def read(**fields):
    return read_config(LLAMA | fields, "model", "test")


def test_an_unknown_family_names_the_fields_nobody_interpreted():
    config = LLAMA | {"model_type": "hyperformer", "num_warp_heads": 3, "warp_dim": 7}
    with pytest.raises(UnsupportedError) as refused:
        read_config(config, "model", "test")
    assert "'hyperformer'" in str(refused.value)
    assert "num_warp_heads" in str(refused.value)
    assert "warp_dim" in str(refused.value)


def test_a_known_family_with_a_structure_it_does_not_have_is_refused():
    with pytest.raises(UnsupportedError, match="num_local_experts"):
        read(num_local_experts=8)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"hidden_size": 10**30}, "hidden_size"),
        ({"hidden_size": -64}, "hidden_size"),
        ({"hidden_size": "wide"}, "hidden_size"),
        ({"num_hidden_layers": 10**9}, "num_hidden_layers"),
        ({"num_attention_heads": 7}, "num_attention_heads"),
        ({"num_attention_heads": 0}, "num_attention_heads"),
        ({"num_key_value_heads": 3}, "num_key_value_heads"),
        ({"attention_bias": "yes"}, "attention_bias"),
        ({"vocab_size": None}, "vocab_size"),
        ({"layer_types": ["full_attention"]}, "layer_types"),
        ({"layer_types": ["full_attention", "spiral_attention"]}, "layer_types"),
        ({"quantization_config": {"quant_method": "gptq", "bits": 99}}, "bits"),
        ({"quantization_config": "int8"}, "quantization_config"),
        ({"text_config": 3}, "text_config"),
    ],
)
def test_a_field_that_makes_no_sense_is_named(fields, named):
    with pytest.raises(FormatError, match=named):
        read(**fields)


def test_a_quantization_nobody_described_is_refused():
    with pytest.raises(UnsupportedError, match="hqq"):
        read(quantization_config={"quant_method": "hqq"})


@pytest.mark.parametrize(
    "text", ["", "[]", "3", "{", "nul", "[" * 100_000, '{"a": ' * 50_000, "\x00", '{"model_type": NaN}']
)
def test_text_that_is_no_config_is_one_error(tmp_path, text):
    path = tmp_path / "config.json"
    path.write_text(text)
    with pytest.raises(InputError):
        open_model(str(path))


def test_a_huge_file_is_not_read(tmp_path):
    path = tmp_path / "config.json"
    with path.open("wb") as file:
        file.truncate(10**9)
    with pytest.raises(FormatError, match="larger than"):
        parse_config(path)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
FIELDS = st.sampled_from([*LLAMA, "head_dim", "layer_types", "sliding_window", "tie_word_embeddings"])
TYPES = st.sampled_from(known_types())


@settings(max_examples=200, deadline=None)
@given(TYPES, st.dictionaries(FIELDS, VALUES, max_size=4))
def test_any_values_give_an_architecture_or_one_clear_error(model_type, changes):
    try:
        read_config(LLAMA | {"model_type": model_type} | changes, "model", "test")
    except InputError as error:
        assert "model" in str(error)


def test_a_window_pattern_gives_every_layer_its_own_kind():
    config = LLAMA | {"model_type": "gemma3_text", "num_hidden_layers": 7, "head_dim": 16}
    kinds = [layer.mixer.kind for layer in read_config(config, "model", "test").layers]
    assert kinds == ["sliding"] * 5 + ["full", "sliding"]


@pytest.mark.parametrize("model_type", sorted(known_types()))
def test_an_activation_that_nobody_names_is_that_of_its_class(model_type):
    """As in descriptions that are written by hand: some activations take one tensor, others four."""
    transformers = pytest.importorskip("transformers")
    names = ("hidden_act", "activation_function", "hidden_activation", "activation")
    try:
        config = transformers.AutoConfig.for_model(model_type).to_dict()
        full = read_config(config, "model", "test")
    except (ValueError, InputError):
        pytest.skip("no class of that type, or none that is read by its defaults")
    short = read_config({k: v for k, v in config.items() if k not in names}, "model", "test")
    assert [layer.flow for layer in short.layers] == [layer.flow for layer in full.layers]


def test_equal_layers_are_one_object():
    layers = read(num_hidden_layers=80).layers
    assert len({id(layer) for layer in layers}) == 1


def test_an_unknown_model_offers_the_nearest():
    with pytest.raises(UnknownNameError) as unknown:
        open_model("Qwen/Qwen2.5-7B-Instrct")
    assert "Qwen/Qwen2.5-7B-Instruct" in unknown.value.nearest


def test_a_folder_with_config_and_weights_opens_with_its_stored_bytes(tmp_path):
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    model = LlamaForCausalLM(LlamaConfig(**{k: v for k, v in LLAMA.items() if k != "model_type"}))
    model.to(torch.bfloat16).save_pretrained(tmp_path)
    found = open_model(str(tmp_path))
    assert found.dtype == "bfloat16"
    assert found.parameters == sum(p.numel() for p in model.parameters())
    assert found.checkpoint.bytes == 2 * found.parameters


def test_a_model_in_the_local_hub_cache_is_found_without_a_connection(tmp_path, monkeypatch):
    snapshot = tmp_path / "hub/models--someone--something/snapshots/abc"
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text(json.dumps(LLAMA))
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    assert open_model("someone/something").name == "someone/something"


HUB = {
    "openai/gpt-oss-20b": {
        "architectures": ["GptOssForCausalLM"],
        "attention_bias": True,
        "experts_per_token": 4,
        "head_dim": 64,
        "hidden_size": 2880,
        "initial_context_length": 4096,
        "intermediate_size": 2880,
        "layer_types": ["sliding_attention", "full_attention"] * 12,
        "max_position_embeddings": 131072,
        "model_type": "gpt_oss",
        "num_attention_heads": 64,
        "num_experts_per_tok": 4,
        "num_hidden_layers": 24,
        "num_key_value_heads": 8,
        "num_local_experts": 32,
        "quantization_config": {
            "modules_to_not_convert": ["model.layers.*.self_attn", "model.layers.*.mlp.router", "lm_head"],
            "quant_method": "mxfp4",
        },
        "router_aux_loss_coef": 0.9,
        "sliding_window": 128,
        "swiglu_limit": 7.0,
        "tie_word_embeddings": False,
        "vocab_size": 201088,
    },
    "ai21labs/Jamba-v0.1": {
        "architectures": ["JambaForCausalLM"],
        "attn_layer_offset": 4,
        "attn_layer_period": 8,
        "expert_layer_offset": 1,
        "expert_layer_period": 2,
        "hidden_size": 4096,
        "intermediate_size": 14336,
        "mamba_conv_bias": True,
        "mamba_d_conv": 4,
        "mamba_d_state": 16,
        "mamba_dt_rank": 256,
        "mamba_expand": 2,
        "mamba_inner_layernorms": True,
        "mamba_proj_bias": False,
        "model_type": "jamba",
        "n_ctx": 262144,
        "num_attention_heads": 32,
        "num_experts": 16,
        "num_experts_per_tok": 2,
        "num_hidden_layers": 32,
        "num_key_value_heads": 8,
        "num_logits_to_keep": 1,
        "sliding_window": None,
        "torch_dtype": "bfloat16",
        "use_mamba_kernels": True,
        "vocab_size": 65536,
    },
    "google/gemma-3-4b-it": {
        "architectures": ["Gemma3ForConditionalGeneration"],
        "mm_tokens_per_image": 256,
        "model_type": "gemma3",
        "text_config": {
            "hidden_size": 2560,
            "intermediate_size": 10240,
            "model_type": "gemma3_text",
            "num_hidden_layers": 34,
            "rope_scaling": {"factor": 8.0, "rope_type": "linear"},
            "sliding_window": 1024,
        },
        "torch_dtype": "bfloat16",
        "vision_config": {
            "hidden_size": 1152,
            "image_size": 896,
            "intermediate_size": 4304,
            "model_type": "siglip_vision_model",
            "num_attention_heads": 16,
            "num_hidden_layers": 27,
            "patch_size": 14,
            "vision_use_head": False,
        },
    },
    "llava-hf/llava-v1.6-mistral-7b-hf": {
        "architectures": ["LlavaNextForConditionalGeneration"],
        "model_type": "llava_next",
        "text_config": {
            "architectures": ["MistralForCausalLM"],
            "intermediate_size": 14336,
            "max_position_embeddings": 32768,
            "model_type": "mistral",
            "num_key_value_heads": 8,
            "sliding_window": None,
            "torch_dtype": "bfloat16",
            "vocab_size": 32064,
        },
        "tie_word_embeddings": False,
        "torch_dtype": "float16",
        "vision_config": {
            "hidden_size": 1024,
            "image_size": 336,
            "intermediate_size": 4096,
            "model_type": "clip_vision_model",
            "num_attention_heads": 16,
            "num_hidden_layers": 24,
            "patch_size": 14,
            "projection_dim": 768,
            "vocab_size": 32000,
        },
    },
    "tiiuae/falcon-40b": {
        "alibi": False,
        "bias": False,
        "hidden_size": 8192,
        "model_type": "falcon",
        "new_decoder_architecture": True,
        "num_attention_heads": 128,
        "num_hidden_layers": 60,
        "num_kv_heads": 8,
        "parallel_attn": True,
        "torch_dtype": "bfloat16",
        "vocab_size": 65024,
    },
    "openai-community/gpt2": {
        "model_type": "gpt2",
        "n_ctx": 1024,
        "n_embd": 768,
        "n_head": 12,
        "n_inner": None,
        "n_layer": 12,
        "n_positions": 1024,
        "vocab_size": 50257,
    },
}


@pytest.mark.parametrize("name", HUB)
def test_a_config_as_hubs_write_it_is_the_catalogs_model(name):
    found, known = read_config(HUB[name], name, "test"), open_model(name)
    assert found.parameters == known.parameters
    assert found.active_parameters == known.active_parameters
    assert [type(layer.mixer) for layer in found.layers] == [type(layer.mixer) for layer in known.layers]
    windows = [getattr(layer.mixer, "window", None) for layer in found.layers]
    assert windows == [getattr(layer.mixer, "window", None) for layer in known.layers]
    assert found.rotary_positions == known.rotary_positions


def test_blocks_of_different_widths_are_read_from_their_own_configs():
    def block(group, multiple):
        attention = {"n_heads_in_group": group, "no_op": group is None, "replace_with_linear": False}
        return {"attention": attention, "ffn": {"ffn_mult": multiple, "no_op": False}}

    widths = {5.25: 28672, 2.625: 14336, 3.28125: 17920, 1.3125: 7168, 1.0: 5632, 0.5: 2816}
    config = {
        "model_type": "nemotron-nas",
        "hidden_size": 8192,
        "num_attention_heads": 64,
        "num_key_value_heads": None,
        "num_hidden_layers": len(widths),
        "vocab_size": 128256,
        "tie_word_embeddings": False,
        "block_configs": [block(None if m == 0.5 else 8, m) for m in widths],
    }
    layers = read_config(config, "nas", "test").layers
    assert [layer.feed_forward.intermediate for layer in layers] == list(widths.values())
    assert [layer.mixer is None for layer in layers] == [False] * 5 + [True]
