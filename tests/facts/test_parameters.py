"""Parameter counts and tensor shapes: against published counts, and against transformers itself."""

import json
from collections import Counter
from importlib.resources import files

import pytest
import small_families

from ullage.facts.catalog import find_model, model_names
from ullage.facts.config import read_config
from ullage.facts.families.rows import known_types

ROWS = json.loads((files("ullage.facts") / "data" / "models.json").read_text())["models"]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["id"])
def test_every_catalog_model_has_its_verified_parameter_count(row):
    model = find_model(row["id"])
    assert model.parameters == row["parameters"]
    if "active_parameters" in row:
        assert model.active_parameters == row["active_parameters"]
    groups = row.get("parameter_groups") or {}
    for group in ("vision", "embedding", "routed_experts", "lm_head"):
        if group in groups and row["model_type"] not in ("gpt2", "opt"):
            assert model.parameters_by_component[group] == groups[group]


def test_names_behind_the_slash_are_enough_and_case_does_not_matter():
    assert find_model("llama-3.1-8b-instruct") is find_model("meta-llama/Llama-3.1-8B-Instruct")
    assert len(model_names()) >= len(ROWS)


SMALL = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 128,
    "pad_token_id": 0,
}
EXPERTS = {"num_local_experts": 4, "num_experts_per_tok": 2}
ROUTED = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32}
LATENT = {
    "kv_lora_rank": 16,
    "q_lora_rank": 24,
    "qk_rope_head_dim": 8,
    "qk_nope_head_dim": 16,
    "v_head_dim": 16,
    "num_key_value_heads": 4,
}
DEEPSEEK = LATENT | {
    "n_routed_experts": 4,
    "n_shared_experts": 1,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 32,
    "first_k_dense_replace": 1,
    "n_group": 1,
    "topk_group": 1,
}
GLM = {key: value for key, value in DEEPSEEK.items() if key not in LATENT} | {"head_dim": 16}
DELTA = {
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
    "head_dim": 16,
}
TEXT = {
    "llama": [{}, {"attention_bias": True, "mlp_bias": True, "tie_word_embeddings": True}],
    "mistral": [{}, {"head_dim": 24, "sliding_window": 8}],
    "mixtral": [EXPERTS],
    "qwen2": [{}, {"tie_word_embeddings": True}],
    "qwen3": [{"head_dim": 16}, {"head_dim": 32, "attention_bias": True}],
    "qwen2_moe": [ROUTED | {"shared_expert_intermediate_size": 48}, {"mlp_only_layers": [1]}],
    "qwen3_moe": [ROUTED | {"head_dim": 16}, ROUTED | {"decoder_sparse_step": 2, "head_dim": 16}],
    "gemma": [{"head_dim": 16}],
    "gemma2": [{"head_dim": 16, "tie_word_embeddings": False}],
    "gemma3_text": [{"head_dim": 16}],
    "phi": [{"num_key_value_heads": 4}, {"qk_layernorm": True}],
    "phi3": [{}, {"tie_word_embeddings": True}],
    "gpt2": [{"n_embd": 64, "n_layer": 3, "n_head": 4, "n_positions": 64, "vocab_size": 128}],
    "opt": [
        {"ffn_dim": 96, "max_position_embeddings": 64, "word_embed_proj_dim": 64},
        {"ffn_dim": 96, "max_position_embeddings": 64, "word_embed_proj_dim": 32},
        {"ffn_dim": 96, "word_embed_proj_dim": 64, "enable_bias": False},
    ],
    "gpt_neox": [{}, {"attention_bias": False, "tie_word_embeddings": True}],
    "falcon": [
        {"multi_query": True, "ffn_hidden_size": 256},
        {"new_decoder_architecture": True, "num_kv_heads": 2, "ffn_hidden_size": 256},
        {"multi_query": False, "parallel_attn": False, "bias": True, "ffn_hidden_size": 96},
    ],
    "starcoder2": [{}, {"use_bias": False, "tie_word_embeddings": False}],
    "olmo2": [{}, {"num_key_value_heads": 4}],
    "gpt_oss": [EXPERTS | {"head_dim": 16}],
    "cohere": [{}, {"use_qk_norm": True}],
    "cohere2": [{"head_dim": 16}],
    "granite": [{}, {"attention_bias": True, "mlp_bias": True}],
    "glm": [{"head_dim": 16}, {"head_dim": 16, "attention_bias": False}],
    "glm4_moe": [GLM, GLM | {"use_qk_norm": True, "first_k_dense_replace": 2}],
    "deepseek_v2": [DEEPSEEK, DEEPSEEK | {"q_lora_rank": None}],
    "deepseek_v3": [DEEPSEEK, DEEPSEEK | {"q_lora_rank": None, "attention_bias": True}],
    "deepseek_v32": [DEEPSEEK | {"index_n_heads": 2, "index_head_dim": 16, "index_topk": 8}],
    "minicpm3": [LATENT],
    "llama4_text": [
        EXPERTS | {"head_dim": 16, "intermediate_size_mlp": 96},
        EXPERTS | {"head_dim": 16, "interleave_moe_layer_step": 2, "intermediate_size_mlp": 80},
    ],
    "qwen3_next": [ROUTED | DELTA | {"shared_expert_intermediate_size": 48}],
    "qwen3_5_text": [DELTA],
    "qwen3_5_moe_text": [ROUTED | DELTA | {"shared_expert_intermediate_size": 48}],
    "jamba": [
        {"num_experts": 4, "mamba_d_state": 8, "mamba_dt_rank": 8, "num_hidden_layers": 8},
        {"num_experts": 4, "attn_layer_period": 2, "attn_layer_offset": 1, "mamba_dt_rank": 4},
    ],
    "mamba": [{"state_size": 8, "time_step_rank": 4}, {"expand": 3, "use_bias": True}],
    "falcon_mamba": [{"state_size": 8, "time_step_rank": 4}],
    "nemotron_h": [
        {"mamba_num_heads": 8, "mamba_head_dim": 16, "n_groups": 2, "n_routed_experts": 4}
        | {"moe_intermediate_size": 32, "moe_shared_expert_intermediate_size": 48, "head_dim": 16}
    ],
    "granitemoehybrid": [
        EXPERTS
        | {"mamba_n_heads": 8, "mamba_d_head": 16, "mamba_d_state": 16}
        | {"layer_types": ["mamba", "attention", "mamba", "mamba"]},
        {"mamba_n_heads": 8, "mamba_d_head": 16, "mamba_d_state": 16, "num_local_experts": 0}
        | {"layer_types": ["mamba", "attention", "mamba", "mamba"]},
    ],
    "gemma4_text": [
        {"head_dim": 16, "global_head_dim": 32, "hidden_size_per_layer_input": 8},
        ROUTED
        | {"enable_moe_block": True, "top_k_experts": 2, "attention_k_eq_v": True}
        | {"num_global_key_value_heads": 1, "head_dim": 16, "hidden_size_per_layer_input": 0},
    ],
}
CASES = [(kind, index) for kind, variants in TEXT.items() for index in range(len(variants))]


def shapes_of(architecture):
    found = Counter(w.shape for layer in architecture.layers for w in layer.weights)
    found.update(w.shape for w in architecture.embeddings + architecture.final + architecture.head)
    if architecture.vision is not None:
        found.update(w.shape for w in architecture.vision.weights)
    return found


def compare(config, auto):
    import torch

    with torch.device("meta"):
        model = auto.from_config(config)
    expected = Counter(tuple(parameter.shape) for parameter in model.parameters())
    whole, given = config.to_dict(), config.to_diff_dict()
    given["model_type"] = config.model_type
    for form in (whole, given):
        architecture = read_config(json.loads(json.dumps(form, default=str)), "small", "test")
        assert shapes_of(architecture) == expected
        # Quantizers replace nn.Linear modules; the head is kept apart.
        linear = Counter(
            tuple(module.weight.shape)
            for name, module in model.named_modules()
            if isinstance(module, torch.nn.Linear) or type(module).__name__ == "Conv1D"
            if "lm_head" not in name
        )
        weights = [w for layer in architecture.layers for w in layer.weights]
        weights += [*architecture.embeddings, *architecture.final]
        weights += architecture.vision.weights if architecture.vision is not None else ()
        assert Counter(w.shape for w in weights if w.role == "linear") == linear


@pytest.mark.parametrize(("kind", "index"), CASES, ids=lambda value: str(value))
def test_tensors_of_every_family_are_those_of_transformers(kind, index):
    from transformers import AutoConfig, AutoModelForCausalLM

    fields = TEXT[kind][index]
    base = {} if kind == "gpt2" else SMALL
    compare(AutoConfig.for_model(kind, **base | fields), AutoModelForCausalLM)


VISION = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "image_size": 28}
VISION |= {"num_attention_heads": 4, "patch_size": 14}
DEPTH = {"hidden_size": 32, "intermediate_size": 48, "depth": 2, "num_heads": 4, "patch_size": 14}
DEPTH |= {"out_hidden_size": 64}
WITH_VISION = {
    "gemma3": (SMALL | {"head_dim": 16}, VISION | {"model_type": "siglip_vision_model"}),
    "llava_next": (SMALL | {"model_type": "mistral"}, VISION | {"model_type": "clip_vision_model"}),
    "mistral3": (SMALL | {"model_type": "mistral"}, VISION | {"model_type": "pixtral"}),
    "qwen2_5_vl": (SMALL, DEPTH),
    "qwen3_vl": (SMALL | {"head_dim": 16}, DEPTH | {"deepstack_visual_indexes": [0, 1]}),
    "qwen3_vl_moe": (SMALL | ROUTED | {"head_dim": 16}, DEPTH | {"deepstack_visual_indexes": [1]}),
    "qwen3_5": (SMALL | DELTA, DEPTH),
    "qwen3_5_moe": (SMALL | ROUTED | DELTA | {"shared_expert_intermediate_size": 48}, DEPTH),
    "glm4v_moe": (SMALL | GLM, DEPTH | {"image_size": 28}),
    "gemma4": (
        SMALL | TEXT["gemma4_text"][1],
        VISION | {"model_type": "gemma4_vision", "head_dim": 8, "num_key_value_heads": 4},
    ),
    "llama4": (
        SMALL | EXPERTS | {"head_dim": 16, "intermediate_size_mlp": 96},
        VISION
        | {"projector_input_dim": 24, "projector_output_dim": 40, "vision_output_dim": 56}
        | {"model_type": "llama4_vision_model", "intermediate_size": 96},
    ),
}


@pytest.mark.parametrize("kind", WITH_VISION)
def test_tensors_of_every_vision_model_are_those_of_transformers(kind):
    from transformers import AutoConfig, AutoModelForImageTextToText

    text, vision = WITH_VISION[kind]
    config = AutoConfig.for_model(kind, text_config=text, vision_config=vision)
    compare(config, AutoModelForImageTextToText)


def test_every_family_with_a_reader_is_held_against_transformers():
    held = {*small_families.FAMILIES, *small_families.ENCODERS, *small_families.OWN_CODE, *WITH_VISION}
    assert set(known_types()) == held


def test_flux_and_its_encoders_have_the_parameters_of_diffusers():
    pipeline = find_model("black-forest-labs/FLUX.1-schnell")
    row = next(row for row in ROWS if row["id"] == pipeline.name)
    assert {c.name: c.parameters for c in pipeline.components} == {
        name: part["parameters"] for name, part in row["components"].items()
    }
