"""One more token never takes less, and an offer takes what its plan says, where that once was not so."""

import pytest

import ullage
from ullage import api
from ullage.facts.catalog import find_model

ENGINE_BESIDE = {
    "kind": "evaluate",
    "budget": {"gpus": "4x RTX PRO 6000"},
    "roles": {
        "generator": {
            "model": "deepseek-ai/DeepSeek-V2-Lite",
            "residency": "persistent",
            "attention": "sdpa",
        },
        "judge": {
            "model": "Qwen/Qwen2-7B",
            "engine": "vllm",
            "tensor_parallel": 2,
            "vllm": {"gpu_memory_utilization": 0.3, "enforce_eager": True},
        },
    },
    "batch": 5,
    "prompt_tokens": 14_936,
    "new_tokens": 30,
}


def test_an_offer_beside_an_engine_counts_the_segments_that_earlier_phases_left():
    workload = api.load(ENGINE_BESIDE)
    (outcome,) = (each for gpus, each in api.gpus(workload) if gpus.name == "4x RTX 6000 Ada")
    found = ullage.plan(workload, "4x RTX 6000 Ada", advice=False)
    high = sum(device.peak.device.high for device in found.devices if device.name.startswith("gpu"))
    assert outcome.peak.high == high


def extracted(tokens, **fields):
    data = {
        "kind": "extract",
        "budget": {"gpus": "A100-80GB"},
        "roles": {"model": {"model": "allenai/OLMo-2-1124-7B-DPO", "precision": "bf16", "batch": 3}},
        "prompt_tokens": tokens,
        "examples": 5000,
    }
    found = ullage.plan(data | fields, advice=False)
    return {device.name: device.peak.device.high for device in found.devices}


@pytest.mark.parametrize("tokens", [1, 6, 59, 196])
def test_one_more_token_never_takes_less_of_the_host_where_shards_of_several_sites_are_joined(tokens):
    """Logits of the last token are as large whatever a text's length, so less of a longer one's shard."""
    states = {
        "extract": {"logits": "last"},
        "memory": {"activation_cache_filter": ["blocks.*.hook_resid_post"]},
    }
    before, after = (extracted(each, **states) for each in (tokens, tokens + 1))
    assert all(after[device] >= size for device, size in before.items())


def test_states_of_a_picture_stay_while_tokens_are_written():
    def states(images):
        data = {
            "kind": "extract",
            "budget": {"gpus": "H200"},
            "roles": {"model": {"model": "Qwen/Qwen3-VL-4B-Instruct", "precision": "bf16", "images": images}},
            "captures": [{"sites": ["blocks.0.hook_resid_pre"], "positions": "all", "keep": "device"}],
            "extract": {"generate": True},
            "prompt_tokens": 64,
            "new_tokens": 8,
        }
        found = ullage.plan(data, advice=False)
        return max(
            item.bytes.high
            for item in found.bill.items
            if (item.component, item.device, item.phase) == ("captures", "gpu:0", "model decode")
        )

    row = 2560 * 2
    tokens = find_model("Qwen/Qwen3-VL-4B-Instruct").vision.lay((1024, 1024)).tokens
    assert states(1) == states(0) + tokens * row
