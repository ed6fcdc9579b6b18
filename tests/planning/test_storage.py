"""What a plan says lies on disk."""

from pathlib import Path

import pytest

import ullage
from ullage import api
from ullage.planning.storage import written
from ullage.reports.storage_page import stored_lines
from ullage.units import GIB

EXAMPLES = Path(__file__).parents[2] / "examples"


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


def test_a_checkpoint_that_has_to_be_stored_quantized_is_that_one():
    """An 80B in AWQ was said to be downloaded in 16 bits: 148 GiB for 40 (odysseus issue 377)."""

    def lies(**own):
        plan = api.estimate_model("Qwen/Qwen3-Coder-Next", "A100-80GB", engine="vllm", **own)
        (found,) = plan.stored
        (load,) = (each.seconds for each in plan.times if each.phase.endswith("load"))
        return found.bytes.high / GIB, load.expected

    whole, slow = lies(precision="fp8")
    quantized, quick = lies(precision="awq")
    assert whole == pytest.approx(148.4, abs=0.1)
    assert 39 < quantized < 42
    assert quick < slow


def test_roles_that_need_other_checkpoints_of_one_model_have_one_each():
    roles = {
        name: {"model": "Qwen/Qwen2.5-7B-Instruct", "precision": precision, "engine": "vllm"}
        for name, precision in (("generator", "bf16"), ("judge", "gptq-int4"))
    }
    plan = ullage.plan({"kind": "evaluate", "roles": roles}, "2x A100-80GB", advice=False)
    first, second = plan.stored
    assert [first.what, second.what] == ["checkpoint of generator", "checkpoint of judge"]
    assert second.bytes.high < first.bytes.high / 2


def test_a_role_that_runs_elsewhere_has_no_checkpoint_here():
    model = "meta-llama/Llama-3.1-70B-Instruct"
    roles = {"generator": {"model": model, "precision": "awq"}, "judge": {"model": model, "engine": "openai"}}
    plan = ullage.plan({"kind": "evaluate", "roles": roles}, "H100", advice=False)
    (found,) = plan.stored
    assert found.what == "checkpoint of generator"
    assert found.bytes.high / GIB == pytest.approx(37.0, abs=0.5)


@pytest.mark.parametrize("keep", ["device", "host", "disk"])
def test_states_of_an_estimate_end_on_the_disk_wherever_they_wait(keep):
    fields = {"captures": ["blocks.*.hook_resid_post"], "new_tokens": 0, "prompt_tokens": 128}
    plan = api.estimate_model("meta-llama/Llama-3.1-8B", "L4", set_=[f"captures.0.keep={keep}"], **fields)
    assert written(plan).high == 1000 * 128 * 32 * 4096 * 2
    tight = [f"captures.0.keep={keep}", "budget.disk=20GiB"]
    assert api.estimate_model("meta-llama/Llama-3.1-8B", "L4", set_=tight, **fields).verdict == "does not fit"


def test_how_long_a_download_takes_is_said_beside_its_bytes():
    plan = ullage.plan(EXAMPLES / "werewolf.yaml", advice=False)
    (said,) = (line for line in stored_lines(plan.stored) if line.startswith("to download"))
    # 141.1 GB at an eighth of a GB a second
    assert said == (
        "to download: 131.42 GiB, 18.8 min at 1 Gbit/s, 112.9 s at 10 Gbit/s, which no time here counts"
    )
    assert not [*stored_lines(api.estimate_model("ullage:tiny", "L4").stored)]
