"""What a plan says of time."""

import pytest
import result_file
import time_accuracy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import ullage
from ullage import api

MODELS = (
    "Qwen/Qwen2.5-0.5B-Instruct",
    "Llama-3.1-8B-Instruct",
    "mistralai/Mixtral-8x7B-v0.1",
    "deepseek-ai/DeepSeek-V3",
    "google/gemma-2-9b-it",
    "tiiuae/falcon-7b",
)
KERNELS = ("flash", "sdpa", "eager")


def times(model, gpus="8xH200", **fields):
    """Seconds by what is done: load, prefill, decode."""
    found = api.estimate_model(model, gpus, advice=False, **fields)
    return {time.phase.split()[1]: time.seconds for time in found.times}


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from(MODELS),
    st.sampled_from(KERNELS),
    st.integers(1, 3000),
    st.integers(1, 64),
    st.sampled_from((1, 2, 8)),
)
def test_what_is_more_never_takes_less(model, kernel, prompt, new, batch):
    kernel = "auto" if kernel == "flash" and "gemma-2" in model else kernel
    fields = {"attention": kernel, "prompt_tokens": prompt, "new_tokens": new, "batch": batch}
    one = times(model, **fields)
    for name, seconds in one.items():
        assert 0 < seconds.low <= seconds.expected <= seconds.high, name
    for more in ({"prompt_tokens": prompt + 500}, {"new_tokens": new + 9}, {"batch": batch + 1}):
        other = times(model, **{**fields, **more})
        assert all(other[name].expected >= one[name].expected for name in one if name != "load")


def test_a_layer_is_timed_by_the_card_that_holds_it():
    """Of two cards that take turns, neither is timed as the other."""
    fields = {"prompt_tokens": 512, "new_tokens": 128, "precision": "bf16", "placement": "balanced"}
    alone = {name: times("Llama-3.3-70B-Instruct", name, **fields)["decode"] for name in ("4xH100", "4xL40S")}
    mixed = times("Llama-3.3-70B-Instruct", "2xH100+2xL40S", **fields)["decode"]
    assert alone["4xH100"].expected < mixed.expected < alone["4xL40S"].expected


def test_a_token_reads_the_experts_that_are_chosen_and_many_tokens_read_all():
    """Mixtral reads 2 of 8 experts for a token; 64 tokens want nearly all."""
    fields = {"engine": "vllm", "prompt_tokens": 16, "new_tokens": 64}
    few, many = (times("mistralai/Mixtral-8x7B-v0.1", batch=batch, **fields)["serve"] for batch in (1, 64))
    assert 2.5 * few.expected < many.expected < 4.5 * few.expected


@pytest.mark.parametrize("row", time_accuracy.together("vllm-0.2-tensor-parallel"), ids=lambda row: row.gpus)
def test_a_batch_of_vllm_over_several_cards_takes_as_long_as_published(row):
    low, expected, high = row.planned()
    assert low < row.measured < high
    assert abs(expected / row.measured - 1) < 0.25


def test_cards_that_a_bus_alone_joins_gain_less_from_sharing_layers():
    """A100 over NVLink and over PCIe are alike but for that; of a bridge nothing is counted on."""
    fields = {"engine": "vllm", "tensor_parallel": 8, "prompt_tokens": 1024, "new_tokens": 128, "batch": 16}
    cards = ("8xA100-SXM4-40GB", "8xA100-PCIE-40GB")
    linked, apart = (times("Llama-3.3-70B-Instruct", each, **fields)["serve"] for each in cards)
    sums = 2 * 80 * 129  # two a layer, as the prompts are read and for each token
    assert apart.expected - linked.expected > sums * 10e-6
    assert apart.high - apart.low > linked.high - linked.low


def test_how_fast_unknown_links_are_is_not_known():
    fields = {"engine": "vllm", "tensor_parallel": 2, "prompt_tokens": 64, "new_tokens": 8}
    card = "(24GiB, 936GB/s, 71TFLOPS, sm86{})"
    for bus, known in (("", False), (", PCIe 4.0 x16", True)):
        found = api.estimate_model("Llama-3.1-8B-Instruct", f"2x{card.format(bus)}", advice=False, **fields)
        (serve,) = (each for each in found.times if each.phase.endswith("serve"))
        assert (serve.seconds is not None) == known


def test_scores_that_vllm_does_not_make_cost_nothing():
    fields = {"engine": "vllm", "prompt_tokens": 4096, "new_tokens": 8}
    eager, usual = (
        times("Llama-3.1-8B-Instruct", attention=each, **fields)["serve"] for each in ("eager", "auto")
    )
    assert eager == usual


@pytest.mark.parametrize("batch", [1, 8])
def test_a_long_cache_costs_more_where_heads_are_copied(batch):
    """With padding, keys and values are copied to all heads; the flash kernel needs no such copy."""
    fields = {"prompt_tokens": 30_000, "new_tokens": 16, "batch": batch}
    flash, other = (
        times("Llama-3.1-8B-Instruct", attention=name, **fields)["decode"] for name in ("flash", "sdpa")
    )
    assert (other.expected > flash.expected) == (batch > 1)


def test_offloaded_layers_cross_the_bus_for_every_token():
    fields = {"prompt_tokens": 64, "new_tokens": 32, "max_memory": {"0": "20GiB", "cpu": "64GiB"}}
    there = times("Llama-3.1-8B-Instruct", "1xH100", prompt_tokens=64, new_tokens=32)
    away = times(
        "Llama-3.1-8B-Instruct", "1xRTX 4090", **{**fields, "max_memory": {"0": "8GiB", "cpu": "64GiB"}}
    )
    assert away["decode"].expected > 10 * there["decode"].expected


@pytest.mark.parametrize(
    "row",
    [row for row in time_accuracy.written() if row.gpu == "H100"],
    ids=lambda row: "-".join(map(str, row[1:4])),
)
def test_tokens_that_quantized_models_write_on_an_h100_take_as_long_as_published(row):
    """benchmarking/README.md of github.com/bitsandbytes-foundation/bitsandbytes; 8 bits with the parts for
    outliers, which transformers asks for unless it is told otherwise."""
    low, expected, high = row.planned()
    assert low <= row.measured <= high
    assert abs(expected / row.measured - 1) < 0.45


@pytest.mark.parametrize(
    "row",
    [row for row in time_accuracy.others() if row.what == "prompt" and row.batch in (1, 16)],
    ids=lambda row: f"{row.precision}-{row.batch}",
)
def test_prompts_of_an_a100_take_as_long_as_published(row):
    """tests/benchmark/README.md of github.com/huggingface/optimum: 43 ms more than in fp16, whatever the
    batch, are those of dequantizing 12.7e9 elements. None of these rows was used for a constant."""
    low, expected, high = row.planned()
    assert low < row.measured < high
    assert abs(expected / row.measured - 1) < 0.2


@pytest.mark.parametrize("batch", [1, 8, 32])
def test_what_is_known_of_a_fast_host_lies_within_a_plans_interval(batch):
    """Beside an RTX 4090 4 bits took two fifths of what most hosts take, in batches as long as its memory."""
    (row,) = (
        row
        for row in time_accuracy.written()
        if row[:4] == ("RTX 4090", row.model, "nf4", batch) and "8B" in row.model
    )
    low, _, high = row.planned()
    assert low < row.measured < high


def test_a_few_sequences_are_multiplied_by_what_is_stored_and_many_by_what_is_dequantized():
    """bitsandbytes 0.50 dequantizes for no batch of 4; what came before it, from 2 on."""
    fields = {"precision": "nf4", "prompt_tokens": 16, "new_tokens": 16}
    one, few, many = (
        times("Llama-3.1-70B-Instruct", "1xH100", batch=batch, **fields)["decode"] for batch in (1, 4, 64)
    )
    assert few.expected == one.expected < many.expected / 1.5
    assert few.high > 1.4 * one.high


def test_a_quantized_plan_says_of_which_card_its_ratios_are():
    fields = {"prompt_tokens": 64, "new_tokens": 8, "advice": False}
    said = [
        {each.source for each in api.estimate_model("Llama-3.1-8B-Instruct", "L4", **fields, **own).times}
        for own in (
            {"precision": "nf4"},
            {"precision": "bf16"},
            {"precision": "fp8", "engine": "vllm"},
            {"precision": "awq", "engine": "vllm"},
        )
    ]
    nf4, fp8 = "nf4 beside 16 bits as on an H100", "fp8 beside 16 bits as on an RTX 5090"
    assert said == [{"", nf4}, {""}, {"", fp8}, {""}]


def test_70b_in_8_bits_on_an_h100_and_an_l4_stay_on_the_h100_whose_host_is_what_takes_the_time():
    """Of 79.1 GiB 69 are taken, so the L4 only costs. The same model on an H100 alone wrote 5.04 tokens a
    second (bitsandbytes' own benchmark): an expert's 9 counted memory alone."""
    workload = {
        "kind": "evaluate",
        "budget": {"gpus": "1xH100+1xL4"},
        "roles": {"generator": {"model": "meta-llama/Llama-3.3-70B-Instruct", "precision": "int8"}},
        "prompt_tokens": 512,
        "new_tokens": 128,
    }
    found = ullage.plan(workload)
    assert found.verdict == "fits"
    assert {*found.roles["generator"].placement.device_map.values()} == {"gpu:0"}
    decode = found.times[-1]
    assert decode.bound == "host"
    tokens = [128 / seconds for seconds in (decode.seconds.high, decode.seconds.expected, decode.seconds.low)]
    assert tokens[0] < 5.04 < tokens[2]
    assert tokens[1] == pytest.approx(5.04, rel=0.2)
    alone = ullage.plan(workload, "H100", advice=False)
    assert alone.times[-1].seconds == decode.seconds
    assert alone.cost.usd_per_1000_examples.expected < found.cost.usd_per_1000_examples.expected


@pytest.mark.parametrize(("examples", "passes"), [(1, 1), (16, 1), (17, 2), (1000, 63)])
def test_the_last_batch_of_a_run_is_a_pass_too(examples, passes):
    roles = {"model": {"model": "Qwen/Qwen2.5-0.5B-Instruct", "batch": 16}}
    workload = {"kind": "extract", "roles": roles, "examples": examples, "new_tokens": 8}
    times = ullage.plan(workload, "L4", advice=False).times
    found = [
        each.total_seconds.expected / each.seconds.expected for each in times if "load" not in each.phase
    ]
    assert found == pytest.approx([passes] * len(found))
    assert found


def of(precision="bf16", batch=1, model="meta-llama/Llama-3.1-8B-Instruct", **more):
    """Times of reading 512 tokens and writing 32 on an H200, by phase."""
    role = {"model": model, "precision": precision, **more.pop("role", {})}
    workload = {"kind": "extract", "roles": {"model": role}, "batch": batch, "prompt_tokens": 512}
    workload |= {"new_tokens": 32, "examples": batch, "extract": {"input": "texts.jsonl", "generate": True}}
    plan = ullage.plan(workload | more, "1xH200", advice=False)
    return {time.phase.split()[-1]: time.seconds for time in plan.times}


def test_every_time_measured_on_a_card_lies_within_what_is_planned_of_it():
    """The last run's rows were measured when constants had been set by those of two others."""
    import gpu_times

    rows = [row for row in result_file.figures("gpu-NVIDIA-H200")["rows"] if "timed" in row]
    cases = [gpu_times.batches, gpu_times.caches, gpu_times.experts, gpu_times.scanned]
    by_name = {name: work.args[0] for each in cases for name, work in each(None)}
    assert len(rows) > 50
    outside = []
    for row in rows:
        case = by_name[row["name"]]
        planned = gpu_times.plan_of(case, gpu_times.config_of(case.shape), gpus="1xH200")
        for each in row["timed"]:
            found = planned[{"reading": "prefill", "writing": "decode"}[each["what"]]]
            if not found["low"] <= each["measured"] <= found["high"]:
                outside.append((row["name"], each["what"], each["measured"], found))
    assert outside == []


def test_fp32_computes_without_tensor_cores():
    assert of("fp32", 32)["prefill"].expected > 8 * of("bf16", 32)["prefill"].expected


def test_of_a_prompt_the_output_layer_multiplies_what_is_asked_of_it():
    """Gemma's is more than a quarter of the model."""
    found = []
    for logits in ("last", "all"):
        workload = {"kind": "extract", "roles": {"model": "google/gemma-3-1b-it"}, "batch": 64}
        workload |= {"prompt_tokens": 512, "extract": {"input": "a.jsonl", "logits": logits}}
        found.append(ullage.plan(workload, "1xH200", advice=False).times[-1].seconds.expected)
    assert found[1] > 1.2 * found[0]


def test_sequences_of_one_length_may_have_no_mask_and_those_of_many_have():
    """The low value is that of grouped heads, which a mask expands."""
    many = {"attention": "sdpa"}, {"attention": "flash"}
    masked, flash = (of(batch=32, role=each, prompt_tokens=8192) for each in many)
    assert masked["decode"].expected > 2 * flash["decode"].expected
    assert masked["decode"].low == pytest.approx(flash["decode"].low)


def test_what_is_captured_of_every_position_takes_longest_to_be_written():
    capture = {"sites": ["blocks.*.hook_resid_post"], "positions": "all", "keep": "disk"}
    found = []
    for captures in ([], [capture], [capture | {"positions": "last"}]):
        workload = {"kind": "extract", "roles": {"model": "meta-llama/Llama-3.1-8B"}, "batch": 4}
        workload |= {
            "prompt_tokens": 2048,
            "examples": 1000,
            "captures": captures,
            "extract": {"input": "t.jsonl"},
        }
        found.append(ullage.plan(workload, "1xH200", advice=False))
    without, whole, last = (plan.times[-1] for plan in found)
    assert (without.bound, whole.bound, last.bound) == ("compute", "disk", "compute")
    stored = 1000 * 2048 * 32 * 4096 * 2
    more = whole.total_seconds.expected - without.total_seconds.expected
    assert more == pytest.approx(stored / 0.5e9, rel=0.01)
    assert last.total_seconds.expected < 1.1 * without.total_seconds.expected
    assert found[1].cost.usd.expected > 5 * found[0].cost.usd.expected


@pytest.mark.parametrize(
    "model", ["state-spaces/mamba-2.8b-hf", "ibm-granite/granite-4.0-h-tiny", "Qwen/Qwen3.5-9B"]
)
def test_recurrences_are_timed_by_how_torch_goes_through_them(model):
    """With no kernel of their own: longer than as many operations would take."""
    short, long = (of(model=model, prompt_tokens=each)["prefill"].expected for each in (256, 4096))
    usual = of(model="meta-llama/Llama-3.1-8B-Instruct", prompt_tokens=4096)["prefill"].expected
    assert short < long
    assert long > usual / 4


def test_chunks_that_are_shorter_than_a_recurrence_s_are_filled_up():
    """Mamba-2 goes through 256 positions at once, however few there are."""
    model = "ibm-granite/granite-4.0-h-tiny"
    whole, short = (
        of(model=model, prompt_tokens=1024, **memory)["prefill"].expected
        for memory in ({}, {"memory": {"streaming_chunk_size": 64}})
    )
    assert short > 3 * whole
