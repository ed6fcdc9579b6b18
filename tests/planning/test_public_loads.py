"""Loads and memory that people reported as misjudged, rebuilt small: what a plan says of each today."""

import json

import pytest

import ullage
from ullage.errors import InputError
from ullage.units import GIB

LARGE = "meta-llama/Llama-3.3-70B-Instruct"


def adapted(model, card, precision="nf4", **asked):
    asked = {"train": "adamw", "lora": 8} | asked
    return ullage.estimate_model(model, card, precision=precision, **asked)


def prepared(model, card, cast, rank, tokens):
    """With what is not quantized cast to fp32 first, or not."""
    lora = {"r": rank, "prepare_model_for_kbit_training": cast}
    return adapted(
        model, card, train="adamw-8bit", lora=lora, prompt_tokens=tokens, gradient_checkpointing=True
    )


@pytest.mark.parametrize(
    ("model", "card", "tokens", "precision"),
    [
        # github.com/hiyouga/LlamaFactory/issues/6827: two of these, each of which holds all of it
        pytest.param(LARGE, "L40S", 2048, "nf4", id="70B on 48 GB"),
        # github.com/hiyouga/LlamaFactory/issues/4559: four of these, the same
        pytest.param("meta-llama/Meta-Llama-3-70B-Instruct", "A10G", 1024, "nf4", id="70B on 24 GB"),
        # github.com/hiyouga/LlamaFactory/issues/257: eight of these, the same, in 16 bits
        pytest.param("meta-llama/Llama-2-70b-chat-hf", "A100-80GB", 1024, "bf16", id="70B in 16 bits"),
    ],
)
def test_adapters_beside_a_model_that_every_card_holds_whole_do_not_fit_it(model, card, tokens, precision):
    found = adapted(model, card, precision, prompt_tokens=tokens, gradient_checkpointing=True)
    assert found.verdict == "does not fit"
    assert found.devices[0].peak.device.low > found.devices[0].usable


def test_all_of_7b_trained_by_adamw_do_not_fit_80_gb():
    """github.com/meta-llama/llama-cookbook/issues/413."""
    found = ullage.estimate_model("meta-llama/Llama-2-7b-hf", "A100-80GB", train="adamw", prompt_tokens=512)
    assert found.verdict == "does not fit"
    assert found.devices[0].peak.device.low > 16 * 6.7e9


def test_all_of_70b_trained_by_adamw_are_a_terabyte_and_not_300_gb():
    """github.com/huggingface/blog/issues/2245, and 2294 of huggingface/trl for 16 bytes a parameter."""
    found = ullage.estimate_model(
        "meta-llama/Llama-3.1-70B-Instruct", "8xH100", train="adamw", prompt_tokens=512
    )
    assert found.verdict == "does not fit"
    assert sum(device.peak.live.low for device in found.devices) > 16 * 70e9


@pytest.mark.parametrize(("cast", "reported"), [(True, 19.105), (False, 14.156)])
def test_what_casting_to_fp32_costs_a_4_bit_model_in_training(cast, reported):
    """Qwen3-14B, reserved at most, with peft's casts and without: github.com/huggingface/trl/pull/4335, whose
    notebook says no length of texts."""
    found = prepared("Qwen/Qwen3-14B", "A100-40GB", cast, rank=32, tokens=1024)
    assert found.devices[0].peak.reserved.expected == pytest.approx(reported * GIB, rel=0.07)


def test_casting_7b_to_fp32_before_training_is_not_for_nothing():
    """github.com/huggingface/peft/issues/3265: embedding, output layer and norms of Mistral-7B-v0.3."""

    def live(cast):
        found = prepared("mistralai/Mistral-7B-Instruct-v0.3", "H100", cast, rank=16, tokens=256)
        return found.devices[0].peak.live.expected

    assert 2 * 2 * 32_768 * 4096 < live(True) - live(False) < 1.1 * GIB


def test_experts_are_passed_over_by_4_bits_and_the_page_says_so():
    """github.com/bitsandbytes-foundation/bitsandbytes/issues/1849, since transformers 5 stacks them."""
    asked = {"precision": "nf4", "prompt_tokens": 128, "new_tokens": 16}
    found = ullage.estimate_model("mistralai/Mixtral-8x7B-v0.1", "RTX 4090", **asked)
    assert found.verdict == "does not fit"
    assert found.devices[0].peak.live.low > 2 * 45e9
    assert any("its experts stay in bf16" in note for note in found.notes)


@pytest.mark.parametrize("precision", ["int8", "nf4"])
def test_no_quantized_module_is_left_to_the_processor_unasked(precision):
    """github.com/huggingface/transformers/issues/22018 and 26153."""
    work = {
        "kind": "evaluate",
        "budget": {"gpus": "RTX 3090"},
        "roles": {
            "generator": {
                "model": "meta-llama/Llama-2-70b-chat-hf",
                "precision": precision,
                "max_memory": {"cpu": "100GiB"},
            }
        },
        "prompt_tokens": 128,
        "new_tokens": 16,
    }
    found = ullage.plan(work, advice=False)
    assert found.verdict == "does not fit"
    assert "llm_int8_enable_fp32_cpu_offload" in found.roles["generator"].placement.reason


@pytest.mark.parametrize(("precision", "verdict"), [("auto", "fits"), ("bf16", "does not fit")])
def test_gpt_oss_20b_is_on_24_gb_as_it_is_stored_and_not_in_16_bits(precision, verdict):
    """14 GB on an RTX 4090 with mxfp4, too much without its kernels:
    github.com/xorbitsai/inference/issues/3999."""
    asked = {"precision": precision, "prompt_tokens": 512, "new_tokens": 64}
    found = ullage.estimate_model("openai/gpt-oss-20b", "RTX 4090", **asked)
    assert found.verdict == verdict
    if verdict == "fits":
        assert found.devices[0].peak.process.expected == pytest.approx(14 * GIB, rel=0.05)


@pytest.mark.parametrize("card", ["T4", "V100-SXM2-32GB"])
def test_bf16_becomes_fp16_on_cards_that_lack_it(card):
    """github.com/vllm-project/vllm/issues/1157 and 946."""
    found = ullage.estimate_model(
        "meta-llama/Llama-3.2-1B-Instruct", card, engine="vllm", precision="bf16", prompt_tokens=128
    )
    assert found.roles["model"].precision.compute == "fp16"
    assert any("no kernels" in note for note in found.notes) == (card != "T4")


def served(*models, card="A100-80GB", **own):
    names = ("generator", "judge")[: len(models)]
    roles = {
        name: {"model": model, "engine": "vllm", "vllm": {"gpu_memory_utilization": share, **own}}
        for name, (model, share) in zip(names, models, strict=True)
    }
    return {
        "kind": "evaluate",
        "budget": {"gpus": card, "reserve": "0%"},
        "schedule": "simultaneous",
        "roles": roles,
        "prompt_tokens": 512,
        "new_tokens": 64,
    }


def test_a_window_that_the_cache_does_not_hold_does_not_fit():
    """github.com/vllm-project/vllm/issues/10517: 70B in 16 bits on two H100 at the full 131,072 tokens."""
    asked = {"engine": "vllm", "tensor_parallel": 2, "new_tokens": 1000}
    model = "meta-llama/Llama-3.1-70B-Instruct"
    full = ullage.estimate_model(model, "2xH100", prompt_tokens=130_000, **asked)
    assert full.verdict == "does not fit"
    assert (
        ullage.estimate_model(
            model, "4xH100", prompt_tokens=130_000, **(asked | {"tensor_parallel": 4})
        ).verdict
        == "fits"
    )


def test_8b_is_served_on_an_l4_with_a_window_of_1024():
    """github.com/vllm-project/vllm/issues/6689, vLLM 0.5.3."""
    work = served(("meta-llama/Llama-3.1-8B-Instruct", 0.9), card="L4", max_model_len=1024, version="0.5.3")
    assert ullage.plan(work, advice=False).verdict == "fits"


def test_two_quantized_engines_fit_one_card_where_their_shares_do(tmp_path):
    """github.com/vllm-project/vllm/issues/10533: 72B at 0.75 and 14B at 0.20. Versions before 0.7
    counted what the first had taken as the second's; today's do not."""
    common = {"architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", "vocab_size": 152064}
    common |= {"num_key_value_heads": 8, "max_position_embeddings": 32768, "torch_dtype": "float16"}
    common |= {"quantization_config": {"quant_method": "gptq", "bits": 4, "group_size": 128}}
    sizes = {
        "72": {
            "hidden_size": 8192,
            "intermediate_size": 29696,
            "num_hidden_layers": 80,
            "num_attention_heads": 64,
        },
        "14": {
            "hidden_size": 5120,
            "intermediate_size": 13824,
            "num_hidden_layers": 48,
            "num_attention_heads": 40,
        },
    }
    for name, size in sizes.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(json.dumps(common | size))
    own = {"max_model_len": 16_384, "enforce_eager": True, "max_num_seqs": 64, "max_num_batched_tokens": 2048}
    both = served((str(tmp_path / "72"), 0.75), (str(tmp_path / "14"), 0.20), **own)
    assert ullage.plan(both, advice=False).verdict == "fits"


def test_a_share_within_what_starts_have_taken_is_not_called_too_little():
    """github.com/vllm-project/vllm/issues/19125: Qwen2.5-0.5B started at 0.4 of 8 GB."""
    small = ("Qwen/Qwen2.5-0.5B-Instruct", 0.4)
    with pytest.raises(InputError, match=r"0\.4 may be too little: 0\.\d\d to 0\.\d\d is what such starts"):
        ullage.plan(
            served(small, card="RTX 4060", max_num_batched_tokens=2048, max_num_seqs=256), advice=False
        )
