"""What the software that runs a plan refuses, the plan refuses; and advice never offers it."""

import json

import pytest

import ullage
from ullage import api
from ullage.errors import InputError, SpecError, UnsupportedError

LLAMA = "meta-llama/Llama-3.1-8B-Instruct"
LARGE = "meta-llama/Llama-3.1-70B-Instruct"


def training(**memory):
    return {
        "kind": "extract",
        "roles": {"model": {"model": LLAMA, "precision": "bf16"}},
        "training": {"optimizer": "adamw"},
        "memory": memory,
        "prompt_tokens": 8192,
        "examples": 100,
    }


def test_a_training_step_cannot_read_its_prompt_in_chunks():
    with pytest.raises(SpecError, match="streaming_chunk_size: a training step reads its whole prompt"):
        ullage.load(training(streaming_chunk_size=512))


@pytest.mark.parametrize(("precision", "fraction"), [("bf16", 1.0), ("nf4", 0.0026)])
def test_a_training_step_is_never_advised_to_read_in_chunks(precision, fraction):
    workload = training()
    workload["roles"]["model"]["precision"] = precision
    workload["training"]["trainable_fraction"] = fraction
    found = ullage.plan(workload | {"prompt_tokens": 51974}, "H100")
    assert found.verdict == "does not fit"
    assert "streaming_chunk_size" not in json.dumps(found.to_json()["advice"])


@pytest.mark.parametrize("ranks", [1, 2])
def test_vllm_is_not_placed_on_the_processor_beside_cards(ranks):
    role = {"model": LLAMA, "engine": "vllm", "placement": "cpu", "tensor_parallel": ranks}
    workload = {"kind": "evaluate", "roles": {"generator": role}}
    with pytest.raises(UnsupportedError, match="placement cpu: engine vllm computes on cards"):
        ullage.plan(workload, "2x A100-80GB", advice=False)
    if ranks == 1:
        assert ullage.plan(workload, "cpu", advice=False).roles["generator"].placement


def judged(precision, **judge):
    small = {"model": "meta-llama/Llama-3.2-1B-Instruct", "batch": 16}
    role = {"model": LARGE, "precision": precision, "batch": 4, **judge}
    return {
        "kind": "evaluate",
        "schedule": "sequential",
        "roles": {"generator": small, "judge": role},
        "prompt_tokens": 512,
        "new_tokens": 128,
    }


@pytest.mark.parametrize(("precision", "card"), [("int8", "A100-40GB"), ("nf4", "L4"), ("nf4", "2x T4")])
def test_quantized_weights_are_not_offloaded_beside_others_on_the_card(precision, card):
    found = ullage.plan(judged(precision, max_memory={"cpu": "4TiB"}), card, advice=False)
    assert found.verdict == "does not fit"
    placed = found.roles["judge"].placement
    assert all(where.startswith("gpu:") for where in placed.device_map.values())
    assert f"transformers offloads no {precision} weights" in placed.reason


def test_room_for_offloading_is_no_fault_where_it_is_not_needed():
    assert ullage.plan(judged("int8", max_memory={"cpu": "4TiB"}), "H100", advice=False).verdict == "fits"


@pytest.mark.parametrize("precision", ["int8", "nf4", "bf16"])
def test_offloading_of_quantized_weights_is_never_advised(precision):
    found = ullage.plan(judged(precision), "RTX 4090")
    assert found.verdict == "does not fit"
    for entry in found.advice:
        changes = dict(entry.changes)
        quantized = changes.get("roles.judge.precision", precision) in ("int8", "nf4", "nf4-dq")
        assert not (quantized and "roles.judge.max_memory" in changes)


@pytest.mark.parametrize(
    ("model", "card", "stored", "held"),
    [
        ("deepseek-ai/DeepSeek-V3", "10xA100-80GB", "fp8", "bf16"),
        ("openai/gpt-oss-20b", "2xV100-SXM2-16GB", "mxfp4", "fp16"),
    ],
)
@pytest.mark.parametrize("precision", ["auto", "stored"])
def test_a_checkpoint_that_a_card_cannot_compute_with_is_planned_in_16_bits(
    model, card, stored, held, precision
):
    found = ullage.estimate_model(model, card, precision=precision)
    chosen = found.roles["model"].precision
    assert (chosen.storage, chosen.compute) == (held, held)
    assert f"the checkpoint is {stored}" in chosen.reason
    assert found.verdict == "does not fit"


def test_a_precision_that_a_card_cannot_compute_with_is_refused_where_the_role_is():
    with pytest.raises(UnsupportedError, match=r"int8 needs compute capability 7\.5, gpu:0 has 7\.0"):
        ullage.estimate_model(LLAMA, "V100-SXM2-16GB", precision="int8")
    placed = judged("int8", placement="gpu:1") | {"prompt_tokens": 256}
    assert (
        ullage.plan(placed, "1xV100-SXM2-16GB + 1xH100", advice=False).roles["judge"].placement.where
        == "gpu:1"
    )


def served(first, second, **fields):
    def role(share):
        return {"model": LLAMA, "engine": "vllm", "vllm": {"gpu_memory_utilization": share}}

    return {
        "kind": "evaluate",
        "budget": {"reserve": "0%"},
        "schedule": "simultaneous",
        "roles": {"generator": role(first), "judge": role(second)},
        "prompt_tokens": 2048,
        "new_tokens": 256,
    } | fields


def test_engines_that_are_given_more_than_a_card_together_are_refused():
    with pytest.raises(InputError, match=r"generator, judge: their shares of gpu:0 come to 1.80"):
        ullage.plan(served(0.9, 0.9), "A100-80GB")
    assert ullage.plan(served(0.45, 0.45), "A100-80GB", advice=False).verdict == "fits"
    # Contexts and CUDA graphs lie outside the shares.
    assert ullage.plan(served(0.5, 0.5), "A100-80GB", advice=False).verdict == "does not fit"
    assert ullage.plan(served(0.9, 0.9, schedule="sequential"), "A100-80GB", advice=False).verdict == "fits"


def test_one_model_is_held_to_the_rules_of_a_file():
    with pytest.raises(SpecError, match=r"captures.0: role model has engine: vllm; states are captured with"):
        api.estimate_model("Llama-3.1-8B-Instruct", "H100", engine="vllm", captures=["*"], prompt_tokens=64)
