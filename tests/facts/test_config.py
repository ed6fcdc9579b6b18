"""What a config.json may say wrongly, and what is refused rather than guessed."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ullage.errors import FormatError, InputError, UnknownNameError, UnsupportedError
from ullage.facts.config import parse_config, read_config
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
TYPES = st.sampled_from(["llama", "jamba", "deepseek_v3", "gemma3", "qwen3_next", "nemotron-nas", "gpt2"])


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
