"""What a plan says lies on disk."""

import pytest

import ullage
from ullage import api
from ullage.units import GIB


@pytest.mark.parametrize(
    ("model", "gib"),
    [("openai/gpt-oss-20b", 12.8), ("openai/gpt-oss-120b", 60.8), ("deepseek-ai/DeepSeek-V3", 627)],
)
def test_a_quantized_checkpoint_is_counted_tensor_by_tensor(model, gib):
    """The first two are 13.76 and 65.25 GB on the hub; the third lacks the layer that predicts two tokens."""
    plan = api.estimate_model(model, "8x H200", prompt_tokens=64, new_tokens=8, engine="vllm", advice=False)
    (found,) = plan.stored
    assert found.bytes.low / GIB == pytest.approx(gib, rel=0.01)


def test_a_model_that_writes_drafts_is_named():
    role = {
        "model": "meta-llama/Llama-3.1-70B-Instruct",
        "engine": "vllm",
        "tensor_parallel": 4,
        "vllm": {"speculative_config": {"model": "meta-llama/Llama-3.1-8B-Instruct"}},
    }
    plan = ullage.plan({"kind": "evaluate", "roles": {"generator": role}}, "4x A100-80GB", advice=False)
    assert [each.what for each in plan.stored] == [
        "checkpoint of generator",
        "checkpoint of the drafts of generator",
    ]
