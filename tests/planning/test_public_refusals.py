"""What people reported that the software refuses, or serves otherwise than by a sum over all layers: what a
plan says of it today."""

import pytest

import ullage
from ullage.errors import SpecError, UnsupportedError
from ullage.facts.catalog import find_model
from ullage.facts.gpu_set import parse_gpu_set
from ullage.memory.vllm.sizes import cache_tokens, logged_tokens, serving
from ullage.memory.weights.precision import resolve_precision
from ullage.spec.role import Role
from ullage.units import GIB

LLAMA = "meta-llama/Llama-3.1-8B-Instruct"


def trained(model, **asked):
    lora = {"r": 8, "target_modules": ["o_proj"]}
    return ullage.estimate_model(model, "8xH100", train="adamw", lora=lora, prompt_tokens=512, **asked)


@pytest.mark.parametrize(
    ("model", "asked", "said"),
    [
        # github.com/huggingface/transformers/issues/46736 and 41516
        pytest.param("deepseek-ai/DeepSeek-V3", {}, "5.19 refuses .* use precision: bf16$", id="fp8"),
        # github.com/huggingface/transformers/issues/39969
        pytest.param("openai/gpt-oss-20b", {}, "5.19 refuses .* use precision: bf16$", id="mxfp4"),
        # github.com/huggingface/transformers/issues/37927
        pytest.param(LLAMA, {"precision": "fp8"}, "use precision: bf16, int8 or nf4$", id="fp8 made here"),
        pytest.param(LLAMA, {"precision": "awq"}, "gptqmodel .* use precision: int8 or nf4$", id="awq"),
        pytest.param(LLAMA, {"precision": "gptq-int4"}, "no backward pass, .* int8 or nf4$", id="gptq"),
    ],
)
def test_adapters_are_not_planned_beside_weights_that_no_step_is_taken_with(model, asked, said):
    with pytest.raises(UnsupportedError, match=said):
        trained(model, **asked)


def test_what_is_offered_instead_of_mxfp4_is_planned():
    assert trained("openai/gpt-oss-20b", precision="bf16").verdict == "fits"


@pytest.mark.parametrize("name", ["mlp.q_proj", "model.layers.3.self_attn.q_proj", "proj"])
def test_a_name_that_no_block_has_is_no_target_of_adapters(name):
    """peft finds nothing by the first and the last, and one layer by the second."""
    lora = {"r": 8, "target_modules": [name]}
    with pytest.raises(UnsupportedError, match="no linear layer called"):
        ullage.estimate_model(LLAMA, train="adamw", lora=lora, prompt_tokens=64)


def test_a_target_may_be_named_with_what_it_is_in():
    def live(name):
        lora = {"r": 8, "target_modules": [name]}
        found = ullage.estimate_model(LLAMA, train="adamw", lora=lora, prompt_tokens=64)
        return found.devices[0].peak.live

    assert live("self_attn.q_proj") == live("q_proj")


def served(*settings, model=LLAMA, card="A100-80GB", **asked):
    return ullage.estimate_model(model, card, engine="vllm", set_=settings, **asked)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        # github.com/vllm-project/vllm/issues/15508 and 39340
        (("vllm.block_size=8",), "block_size: 8: input should be a multiple of 16"),
        (
            ("vllm.max_num_seqs=128", "vllm.max_num_batched_tokens=64"),
            "max_num_batched_tokens: 64: vLLM refuses fewer than max_num_seqs, 128",
        ),
        (("vllm.version=today",), "version: 'today' is not valid: vLLM's, as 0.19.1"),
    ],
)
def test_settings_that_vllm_refuses_are_mistakes(settings, said):
    with pytest.raises(SpecError, match=said):
        served(*settings)


DRAFTED = {"model": "meta-llama/Llama-3.2-1B-Instruct", "num_speculative_tokens": 3}


@pytest.mark.parametrize(
    ("own", "ranks", "said"),
    [
        ({"max_model_len": 200_000}, 1, "more than the 131072 positions of .* rope: yarn:2"),
        (
            {"speculative_config": {**DRAFTED, "model": "Qwen/Qwen2.5-0.5B-Instruct"}},
            1,
            "of 151,936 words and .* has 128,256: vLLM refuses such a pair",
        ),
        # github.com/vllm-project/vllm/issues/10483
        (
            {"speculative_config": {**DRAFTED, "draft_tensor_parallel_size": 2}, "version": "0.6.3"},
            4,
            "as the role's own, over 4; leave it out",
        ),
        ({"speculative_config": {**DRAFTED, "draft_tensor_parallel_size": 1}}, 4, "over 4; leave it out"),
    ],
)
def test_lengths_and_drafts_that_vllm_refuses_are_refused_before_anything_is_planned(own, ranks, said):
    asked = {"engine": "vllm", "tensor_parallel": ranks, "vllm": own}
    with pytest.raises(UnsupportedError, match=said):
        ullage.estimate_model(LLAMA, f"{ranks}xA100-80GB", **asked)


def test_stretched_positions_may_be_served_whole():
    asked = {"engine": "vllm", "vllm": {"max_model_len": 200_000}}
    assert ullage.estimate_model("Qwen/Qwen3-8B", "A100-80GB", rope="yarn:8", **asked).verdict == "fits"


def test_by_default_no_more_sequences_than_tokens_are_taken_in_a_step():
    few, same = (served("vllm.max_num_batched_tokens=64", *more) for more in ((), ("vllm.max_num_seqs=64",)))
    assert few.bill.items == same.bill.items


def sizes_of(model, card, precision="auto", **own):
    role, abilities = (
        Role(model=model, engine="vllm", precision=precision, vllm=own),
        parse_gpu_set(card).abilities,
    )
    found = find_model(model)
    return serving(found, role, resolve_precision(role, found, abilities), abilities)


def test_a_cache_of_1_7b_and_one_of_latents_are_what_vllm_logs():
    """18.78 GiB for 175,856 tokens (vllm-project/vllm#33263); 0.95 GiB for 32,768 (#15871)."""
    assert 175_856 * sizes_of("Qwen/Qwen3-1.7B", "RTX 4090").token_bytes == pytest.approx(
        18.78 * GIB, abs=0.006 * GIB
    )
    latent = sizes_of("deepseek-ai/DeepSeek-V2-Lite-Chat", "RTX 4090")
    assert 32_768 * latent.token_bytes == pytest.approx(0.95 * GIB, abs=0.006 * GIB)


def test_layers_that_look_back_over_a_window_keep_no_more_than_that():
    """Gemma 4 31B held 525,000 tokens of 262,144 long sequences where vLLM before 0.21 said 55,000
    (github.com/vllm-project/vllm/issues/43308, about 50 GB)."""
    sizes = sizes_of("google/gemma-4-31B-it", "A100-80GB", "awq")
    assert 50e9 / sizes.token_bytes == pytest.approx(55_000, rel=0.02)
    window = 262_144
    assert 8 < window * sizes.token_bytes / sizes.blocks_bytes(window, 16) < 9.6


def test_the_cache_of_a_long_prompt_is_counted_layer_by_layer():
    """Of Gemma 3 12B 8 of 48 layers keep all of it, 40 the window of 1,024 and a step of 8,192 tokens."""
    tokens, layer, step = 100_064, 2 * 8 * 256 * 2, 8192
    asked = {"model": "google/gemma-3-12b-it", "prompt_tokens": 100_000, "new_tokens": 64}
    found = served(card="A100-40GB", **asked)
    (cache,) = {item.bytes.expected for item in found.bill.items if item.component == "kv_cache"}
    kept = 8 * -(-tokens // 16) + 40 * (-(-(1024 - 1 + step) // 16) + 1)
    assert cache == (kept + 48) * 16 * layer
    before = served("vllm.version=0.9.0", card="A100-40GB", **asked)
    (all_of_it,) = {item.bytes.expected for item in before.bill.items if item.component == "kv_cache"}
    assert all_of_it == 48 * (tokens // 16 + 1) * 16 * layer


def test_tokens_that_a_cache_is_said_to_hold_are_those_of_a_sequence_that_fits():
    sizes = sizes_of("google/gemma-3-27b-it", "H100")
    held, logged = (each(sizes, 79 * GIB, 0.95, 16) for each in (cache_tokens, logged_tokens))
    for tokens, as_logged in zip(held, logged, strict=True):
        assert sizes.blocks_bytes(tokens, 16) <= as_logged * sizes.token_bytes
        assert sizes.blocks_bytes(tokens + 16, 16) > as_logged * sizes.token_bytes
        assert tokens >= as_logged
    assert held.expected > 4 * logged.expected
    full = sizes_of(LLAMA, "H100")
    assert cache_tokens(full, 79 * GIB, 0.9, 16) == logged_tokens(full, 79 * GIB, 0.9, 16)
