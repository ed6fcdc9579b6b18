"""Cases that people reported of memory that others misjudged, rebuilt small: each names where it stands."""

import json

import pytest

import ullage
from ullage.errors import InputError
from ullage.facts.catalog import find_model
from ullage.facts.config import read_config
from ullage.memory.vllm.layers import token_bytes
from ullage.memory.weights.precision import ResolvedPrecision
from ullage.spec.role import Cache
from ullage.units import GIB, MIB

LLAMA = "meta-llama/Llama-3.1-8B-Instruct"
GPT_OSS = {
    "architectures": ["GptOssForCausalLM"],
    "attention_bias": True,
    "head_dim": 64,
    "hidden_act": "silu",
    "hidden_size": 2880,
    "intermediate_size": 2880,
    "layer_types": ["sliding_attention", "full_attention"] * 18,
    "max_position_embeddings": 131072,
    "model_type": "gpt_oss",
    "num_attention_heads": 64,
    "num_experts_per_tok": 4,
    "num_hidden_layers": 36,
    "num_key_value_heads": 8,
    "num_local_experts": 128,
    "rms_norm_eps": 1e-05,
    "sliding_window": 128,
    "tie_word_embeddings": False,
    "vocab_size": 201088,
    "torch_dtype": "bfloat16",
}
QWEN3_MOE = {
    "architectures": ["Qwen3MoeForCausalLM"],
    "attention_bias": False,
    "decoder_sparse_step": 1,
    "head_dim": 128,
    "hidden_act": "silu",
    "hidden_size": 2048,
    "intermediate_size": 6144,
    "max_position_embeddings": 40960,
    "mlp_only_layers": [],
    "model_type": "qwen3_moe",
    "moe_intermediate_size": 768,
    "num_attention_heads": 32,
    "num_experts_per_tok": 8,
    "num_hidden_layers": 48,
    "num_key_value_heads": 4,
    "num_local_experts": 128,
    "rms_norm_eps": 1e-06,
    "sliding_window": None,
    "tie_word_embeddings": False,
    "use_sliding_window": False,
    "vocab_size": 151936,
    "torch_dtype": "bfloat16",
}
LLAMA_33B = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 6656,
    "intermediate_size": 17920,
    "num_hidden_layers": 60,
    "num_attention_heads": 52,
    "num_key_value_heads": 52,
    "vocab_size": 32000,
    "max_position_embeddings": 2048,
    "torch_dtype": "float16",
    "rms_norm_eps": 1e-6,
}


def test_a_config_alone_of_gpt_oss_120b_gives_the_cache_that_vllm_logs():
    """5.38 GiB for 78,384 tokens: github.com/alvarobartt/hf-mem/issues/60."""
    model = read_config(GPT_OSS, "openai/gpt-oss-120b", "test")
    size = 78_384 * token_bytes(model, 1, Cache(), ResolvedPrecision("bf16", "bf16", ""))
    assert round(size / GIB, 2) == 5.38


@pytest.mark.parametrize(
    ("config", "billions", "active"), [(LLAMA_33B, 32.53, 32.53), (QWEN3_MOE, 30.53, 3.35)]
)
def test_a_config_alone_gives_the_parameters_that_are_published(config, billions, active):
    model = read_config(config, "m", "test")
    assert round(model.parameters / 1e9, 2) == billions
    assert round(model.active_parameters / 1e9, 2) == active


JUDGED = {
    "kind": "evaluate",
    "budget": {"gpus": "A100-40GB"},
    "schedule": "sequential",
    "roles": {
        "generator": {"model": "meta-llama/Llama-3.2-1B-Instruct", "batch": 16},
        "judge": {"model": "meta-llama/Llama-3.1-70B-Instruct", "precision": "int8", "batch": 4},
    },
    "prompt_tokens": 512,
    "new_tokens": 128,
    "examples": 1000,
    "evaluate": {"samples": 10},
}


def test_no_judge_of_70b_in_8_or_4_bits_is_on_a_card_of_40_gb():
    """Neither loader of bitsandbytes takes modules on the processor unless the file asks for it."""
    found = ullage.plan(JUDGED)
    assert found.verdict == "does not fit"
    judge = JUDGED["roles"]["judge"]
    four = {**JUDGED, "roles": {**JUDGED["roles"], "judge": {**judge, "precision": "nf4"}}}
    assert ullage.plan(four, advice=False).verdict == "does not fit"
    offered = {**JUDGED, "roles": {**JUDGED["roles"], "judge": {**judge, "max_memory": {"cpu": "200GiB"}}}}
    assert ullage.plan(offered, advice=False).verdict == "does not fit"
    assert ullage.plan(JUDGED, "A100-80GB", advice=False).verdict == "fits"
    assert ullage.plan(JUDGED, "2xA100-40GB", advice=False).verdict in ("fits", "tight")
    assert found.advice
    for entry in found.advice:
        changed = json.dumps(entry.changes)
        assert "max_memory" not in changed or "llm_int8_enable_fp32_cpu_offload" in changed


def engines(*shares, schedule="simultaneous"):
    return {
        "kind": "evaluate",
        "budget": {"gpus": "A100-80GB", "reserve": "0%"},
        "schedule": schedule,
        "roles": {
            name: {"model": LLAMA, "engine": "vllm", "vllm": {"gpu_memory_utilization": share}}
            for name, share in zip(("generator", "judge"), shares, strict=True)
        },
        "prompt_tokens": 2048,
        "new_tokens": 256,
    }


def test_of_two_engines_at_nine_tenths_of_one_card_the_second_does_not_start():
    """github.com/vllm-project/vllm/issues/20305 and 14376."""
    with pytest.raises(InputError, match=r"come to 1\.80 .*and the last would not start"):
        ullage.plan(engines(0.9, 0.9), advice=False)
    assert ullage.plan(engines(0.45, 0.45), advice=False).verdict == "fits"
    assert ullage.plan(engines(0.9, 0.9, schedule="sequential"), advice=False).verdict == "fits"


def test_all_logits_of_8191_tokens_take_2_gib_and_in_fp32_4():
    """github.com/huggingface/transformers/issues/30860: they were made in fp32 beside bf16 then."""

    def captured(**capture):
        work = {
            "kind": "extract",
            "budget": {"gpus": "A100-40GB", "reserve": "0%"},
            "roles": {"model": {"model": "meta-llama/Meta-Llama-3-8B-Instruct", "precision": "bf16"}},
            "captures": [{"sites": ["logits"], "keep": "device", **capture}],
            "prompt_tokens": 8191,
        }
        found = ullage.plan(work, advice=False)
        assert found.verdict == "fits"
        return max(
            item.bytes.expected
            for item in found.bill.items
            if (item.component, item.device) == ("captures", "gpu:0")
        )

    assert captured() == 8191 * 128_256 * 2
    assert round(captured() / GIB, 2) == 1.96
    assert captured(precision="fp32") == 2 * captured()


def seen(attention, size=(1000, 2530), images=1):
    found = ullage.estimate_model(
        "Qwen/Qwen2.5-VL-7B-Instruct",
        "A100-80GB",
        precision="bf16",
        attention=attention,
        images=images,
        image_size=size,
        prompt_tokens=30,
        new_tokens=16,
    )
    return found.devices[0].peak.live


def test_a_picture_of_12960_patches_takes_gigabytes_where_scores_exist_and_else_next_to_nothing():
    """github.com/huggingface/transformers/issues/37363: 16,295 MB with the flash kernel, 37,503 with
    eager. sdpa then masked patches of other windows, which took 36,510; now each window is called alone."""
    flash, eager = seen("flash"), seen("eager")
    assert flash.expected == pytest.approx(16_295 * MIB, rel=0.03)
    assert flash.high >= 16_295 * MIB
    assert eager.low <= 37_503 * MIB <= eager.high
    assert seen("sdpa").expected < 1.02 * flash.expected


@pytest.mark.parametrize("attention", ["flash", "sdpa", "eager"])
def test_a_larger_picture_and_more_of_them_take_more(attention):
    small, large, two = (
        seen(attention, *given) for given in (((224, 224),), ((1000, 2530),), ((1000, 2530), 2))
    )
    assert small.expected < large.expected < two.expected
    assert find_model("Qwen/Qwen2.5-VL-7B-Instruct").vision.lay((1000, 2530)).patches == 12_960
