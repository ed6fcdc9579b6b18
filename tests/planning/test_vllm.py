"""What a role takes that vLLM serves, held against start-up logs and reports of others."""

import csv
import json
import statistics
from pathlib import Path

import pytest

import ullage
from ullage import api
from ullage.errors import InputError, SpecError
from ullage.facts.catalog import find_model
from ullage.facts.gpu_set import parse_gpu_set
from ullage.memory.vllm.sizes import logged_tokens, serving
from ullage.memory.weights.precision import resolve_precision
from ullage.spec.role import Role
from ullage.units import GIB, MIB

LOGS = Path(__file__).parents[2] / "benchmarks/measured/vllm-other-cards.csv"
LLAMA = "meta-llama/Llama-3.1-8B-Instruct"
YI = {
    "kind": "evaluate",
    "budget": {"gpus": "4x RTX 4090", "reserve": "0%"},
    "roles": {
        "generator": {
            "model": "01-ai/Yi-34B",
            "precision": "bf16",
            "engine": "vllm",
            "tensor_parallel": 4,
            "batch": 4,
            "vllm": {"gpu_memory_utilization": 0.9, "max_model_len": 4096},
        }
    },
    "prompt_tokens": 2048,
    "new_tokens": 256,
}
ALONE = {
    "kind": "evaluate",
    "budget": {"gpus": "A100-80GB", "reserve": "0%"},
    "roles": {
        "generator": {
            "model": LLAMA,
            "precision": "fp8",
            "engine": "vllm",
            "vllm": {"gpu_memory_utilization": 0.9, "max_model_len": 4096},
        }
    },
    "prompt_tokens": 2048,
    "new_tokens": 256,
}


def logs():
    found = {}
    for row in csv.DictReader(LOGS.open()):
        found.setdefault(row["source"], []).append(row)
    return found


def sizes_of(row, told):
    settings = json.loads(row["settings"])
    name = {"config:qwen3-4b": "Qwen/Qwen3-4B"}.get(row["model"], row["model"])
    names = {"seqs": "max_num_seqs", "tokens": "max_num_batched_tokens"}
    own = {key: settings[short] for short, key in names.items() if short in settings}
    if told:
        own["version"] = row["versions"].split()[1].replace("x", "9")
    fields = {"engine": "vllm", "precision": row["precision"], "tensor_parallel": settings["tp"]}
    role, model = Role(model=name, vllm=own, **fields), find_model(name)
    abilities = parse_gpu_set(row["gpu"]).abilities
    return serving(model, role, resolve_precision(role, model, abilities), abilities), settings


@pytest.mark.parametrize("told", [False, True])
def test_activations_of_logs_of_other_cards_lie_within_a_factor_of_1_3(told):
    measured = [row for rows in logs().values() for row in rows if row["level"] == "activations"]
    assert len(measured) == 5
    for row in measured:
        sizes, _ = sizes_of(row, told)
        size = float(row["measured_bytes"])
        assert 1 / 1.3 <= sizes.activations.expected / size <= 1.3
        assert sizes.activations.low <= size <= sizes.activations.high


@pytest.mark.parametrize("told", [False, True])
def test_cache_tokens_of_other_cards_are_near_and_the_cautious_ones_are_there(told):
    errors = []
    for rows in logs().values():
        for row in (row for row in rows if row["level"] == "kv_tokens"):
            sizes, settings = sizes_of(row, told)
            tokens = logged_tokens(
                sizes, int(settings["total_gib"] * GIB), settings["share"], settings["block"]
            )
            assert tokens.low <= int(row["measured_bytes"])
            errors.append(abs(tokens.expected / int(row["measured_bytes"]) - 1))
    assert len(errors) == 4
    assert statistics.median(errors) <= 0.03


@pytest.mark.parametrize("level", ["non_torch", "cuda_graphs"])
def test_what_lies_outside_torch_and_graphs_is_within_the_interval(level):
    for rows in logs().values():
        for row in (row for row in rows if row["level"] == level):
            found = getattr(sizes_of(row, told=False)[0], level)
            assert found.low <= float(row["measured_bytes"]) + float(row["digit"])
            assert float(row["measured_bytes"]) <= found.high


def test_a_share_that_the_file_gives_is_what_is_billed():
    """0.9 of the card, and outside of it the context and CUDA graphs."""
    found = ullage.plan(ALONE, advice=False)
    (device,) = (each for each in found.devices if each.name == "gpu:0")
    card = found.gpus.gpus[0].usable
    assert device.peak.device.expected > 0.9 * card.expected
    assert device.peak.device.high <= 0.9 * card.expected + 3 * GIB
    said = next(each for each in found.decisions if each.subject.endswith("gpu_memory_utilization"))
    assert said.choice == "0.90, as the file says"
    # What is read for a token is what the work fills, not what is free.
    free = dict(ALONE, roles={"generator": {**ALONE["roles"]["generator"], "vllm": {"max_model_len": 4096}}})
    assert ullage.plan(free, advice=False).times[-1].seconds == found.times[-1].seconds


def test_a_share_is_of_the_card_the_role_is_on():
    pinned = {**ALONE["roles"]["generator"], "placement": "gpu:1"}
    found = ullage.plan(dict(ALONE, roles={"generator": pinned}), "1xA100-80GB + 1xL40S", advice=False)
    assert found.devices[0].peak.device.high == 0
    assert 0.9 * 44 * GIB < found.devices[1].peak.device.expected < 44.5 * GIB


def test_graphs_and_share_of_a_34b_over_four_cards():
    """21,395 MiB a card eager and 23,859 with CUDA graphs (vllm 0.5.4, vllm-project/vllm#7553)."""

    def card(**own):
        role = YI["roles"]["generator"]
        changed = dict(YI, roles={"generator": {**role, "vllm": {**role["vllm"], **own}}})
        found = ullage.plan(changed, advice=False)
        return found, found.devices[0].peak.device

    plan, _ = card()
    graphs = next(each.bytes for each in plan.bill.items if each.component == "cuda_graphs")
    assert graphs.low <= (23_859 - 21_395) * MIB <= graphs.high
    for eager, mib in ((True, 21_395), (False, 23_859)):
        _, peak = card(version="0.5.4", enforce_eager=eager)
        assert peak.low <= mib * MIB <= peak.high
    _, today = card()
    assert abs(today.expected / (23_859 * MIB) - 1) < 0.03


def test_a_share_that_leaves_no_room_for_what_lies_outside_is_said_with_the_most_there_is():
    found = ullage.plan(YI, advice=False)
    assert found.verdict == "does not fit"
    said = next(each for each in found.decisions if each.subject.endswith("gpu_memory_utilization"))
    assert "tokens" not in said.reason


def test_a_page_that_does_not_fit_has_no_cache_that_holds_more_than_enough():
    both = {
        "kind": "evaluate",
        "schedule": "simultaneous",
        "roles": {
            "generator": {"model": LLAMA, "engine": "vllm"},
            "judge": {"model": "meta-llama/Llama-3.3-70B-Instruct"},
        },
        "prompt_tokens": 512,
        "new_tokens": 64,
    }
    found = ullage.plan(both, "A100-80GB", advice=False)
    assert found.verdict == "does not fit"
    assert not any("the cache holds" in each.reason for each in found.decisions)


@pytest.mark.parametrize("new", [0, 1])
def test_prompts_may_fill_the_window_where_nothing_or_one_token_is_written(new):
    window = find_model("Qwen/Qwen2.5-7B-Instruct").max_positions
    asked = {"engine": "vllm", "new_tokens": new, "prompt_tokens": window - new}
    assert api.estimate_model("Qwen/Qwen2.5-7B-Instruct", "1xA100-80GB", **asked).verdict == "fits"
    with pytest.raises(InputError, match="window of 32768"):
        api.estimate_model(
            "Qwen/Qwen2.5-7B-Instruct", "1xA100-80GB", **(asked | {"prompt_tokens": window + 1})
        )


def drafted(**config):
    return {
        "kind": "evaluate",
        "budget": {"gpus": "4x A100-80GB"},
        "roles": {
            "generator": {
                "model": "meta-llama/Llama-3.1-70B-Instruct",
                "engine": "vllm",
                "tensor_parallel": 4,
                "vllm": {"speculative_config": config} if config else {},
            }
        },
        "prompt_tokens": 2048,
        "new_tokens": 256,
    }


def test_a_draft_model_takes_weights_and_cache():
    found, alone = (ullage.plan(drafted(**config), advice=False) for config in ({"model": LLAMA}, {}))

    def size(plan, component):
        return sum(
            each.bytes.expected
            for each in plan.bill.items
            if (each.device, each.component, each.phase) == ("gpu:0", component, "generator serve")
        )

    weights = size(found, "weights") - size(alone, "weights")
    assert weights == pytest.approx(find_model(LLAMA).parameters * 2 / 4, rel=0.01)
    # 32 layers beside 80 of the same shape.
    assert size(found, "kv_cache") == pytest.approx(size(alone, "kv_cache") * 112 / 80, rel=0.01)
    whole = drafted(model=LLAMA, draft_tensor_parallel_size=1)
    whole["roles"]["generator"]["vllm"]["version"] = "0.6.3"
    copied = ullage.plan(whole, advice=False)
    assert size(copied, "weights") - size(alone, "weights") == pytest.approx(4 * weights, rel=0.01)


def test_drafts_looked_up_in_the_prompt_take_nothing_and_other_ways_are_refused_by_name():
    looked_up = drafted(method="ngram", num_speculative_tokens=4, prompt_lookup_max=4)
    peaks = [ullage.plan(each, advice=False).devices[0].peak for each in (looked_up, drafted())]
    assert peaks[0] == peaks[1]
    for method in ("eagle", "eagle3", "medusa", "mtp"):
        with pytest.raises(SpecError, match=f"method {method} is not modelled"):
            ullage.plan(drafted(method=method, model=LLAMA), advice=False)
    with pytest.raises(SpecError, match="give a model that writes drafts, or method: ngram"):
        ullage.plan(drafted(num_speculative_tokens=3), advice=False)


def test_a_share_is_enough_for_the_graphs_of_every_version_that_may_run():
    """Since 0.21 CUDA graphs come out of the share."""

    def least(**own):
        share = api.estimate_model(LLAMA, "1xA100-80GB", engine="vllm", vllm=own).roles["model"].share
        return share.least, share.needs

    unknown, before, after = least(), least(version="0.19.1"), least(version="0.21.0")
    assert before[0] < after[0] == unknown[0]
    assert before[1] == pytest.approx(after[1], abs=0.02)


def test_an_indexer_caches_a_key_of_its_own():
    """132 bytes a token and layer beside the latent's 1,152 (vLLM 0.32, DeepseekV32IndexerCache; sglang issue
    11309); in 8 bits the latent's are 656."""

    def cached(model, **own):
        fields = {"engine": "vllm", "tensor_parallel": 8, "prompt_tokens": 130_000, "new_tokens": 1072}
        plan = api.estimate_model(model, "8x H200", **fields, **own)
        items = [each for each in plan.bill.items if each.component == "kv_cache" and each.device == "gpu:0"]
        return max(each.bytes.expected for each in items) / (61 * 131_072)

    assert cached("deepseek-ai/DeepSeek-V3.2") == pytest.approx(1152 + 132, rel=0.001)
    assert cached("deepseek-ai/DeepSeek-V3.1") == pytest.approx(1152, rel=0.001)
    assert cached("deepseek-ai/DeepSeek-V3.2", cache={"precision": "fp8"}) == pytest.approx(
        656 + 132, rel=0.001
    )
