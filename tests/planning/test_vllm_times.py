"""How long vLLM takes, and what of quantized weights it does, held against published figures and laws."""

import csv
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import ullage
from ullage import api

LLAMA = "Llama-3.1-8B-Instruct"
MEASURED = Path(__file__).parents[2] / "benchmarks/measured/vllm-throughput.csv"
LENGTHS = {"prompt_tokens": 256, "new_tokens": 128}
BATCHES = (1, 4, 16, 64, 256)


def served(gpus, model=LLAMA, **own):
    plan = api.estimate_model(model, gpus, advice=False, **{"engine": "vllm", **LENGTHS, **own})
    return {each.phase.rpartition(" ")[2]: each for each in plan.times}


@cache
def seconds(gpus, precision, batch, eager=False):
    own = {"vllm": {"enforce_eager": True}} if eager else {}
    return served(gpus, precision=precision, batch=batch, **own)["serve"].seconds


def test_nine_in_ten_published_figures_lie_inside_their_interval():
    rows = list(csv.DictReader(MEASURED.open()))
    inside = []
    for row in rows:
        lengths = {"prompt_tokens": int(row["prompt_tokens"]), "new_tokens": int(row["new_tokens"])}
        own = {"tensor_parallel": int(row["tensor_parallel"]), "batch": int(row["batch"]), **lengths}
        found = served(row["gpus"], row["model"], precision=row["precision"], **own)["serve"].seconds
        inside.append(found.low <= float(row["seconds"]) <= found.high)
    assert sum(inside) >= 0.85 * len(rows)


@given(st.sampled_from(BATCHES), st.sampled_from(("A100-80GB", "H100", "L40S", "RTX 4090")))
def test_what_bitsandbytes_dequantizes_is_not_as_fast_as_kernels_for_what_is_stored(batch, gpus):
    """An 1B took 71 s in 4 bits of bitsandbytes and 45 in 16 (vLLM issue 9535); a 27B in batches of 2 wrote
    9.4 tokens a second, and 56.6 in AWQ (unsloth issue 3143)."""
    whole, marlin, dequantized = (seconds(gpus, each, batch) for each in ("bf16", "awq", "nf4"))
    assert marlin.expected <= whole.expected
    assert marlin.expected < dequantized.expected
    if batch > 16:
        assert dequantized.expected > whole.expected


@given(st.sampled_from(BATCHES))
def test_without_graphs_it_starts_sooner_and_writes_no_faster(batch):
    whole, eager = seconds("H100", "bf16", batch), seconds("H100", "bf16", batch, True)
    assert whole.expected <= eager.expected
    assert seconds("H100", "bf16", 1, True).expected > 2 * seconds("H100", "bf16", 1).expected


def test_a_start_takes_what_an_engine_takes_before_it_loads():
    first, sooner = (served("H100", vllm={"enforce_eager": eager})["load"].seconds for eager in (False, True))
    assert first.low > 15
    assert first.expected > 60
    assert sooner.expected < first.expected - 30


@given(st.sampled_from(BATCHES), st.sampled_from(("int8", "int4", "int2", "auto")))
def test_a_quantized_cache_of_transformers_is_smaller_and_never_faster(batch, bits):
    plans = [
        api.estimate_model(LLAMA, "H100", advice=False, batch=batch, cache=own, **LENGTHS)
        for own in ({"kind": "dynamic"}, {"kind": "quantized", "precision": bits})
    ]
    caches = [
        max(item.bytes.expected for item in plan.bill.items if item.component == "kv_cache") for plan in plans
    ]
    assert caches[1] < caches[0]
    decode = [next(each for each in plan.times if each.phase.endswith("decode")).seconds for plan in plans]
    assert decode[0].expected <= decode[1].expected


def test_a_scheme_that_an_engine_does_not_make_is_planned_as_a_checkpoint_and_said_so():
    for engine, precision, said in (
        ("vllm", "nf4", True),
        ("vllm", "int8", True),
        ("vllm", "fp8", False),
        ("transformers", "fp8", True),
        ("transformers", "nf4", False),
        ("transformers", "awq", True),
    ):
        plan = api.estimate_model(LLAMA, "H100", engine=engine, precision=precision, advice=False, **LENGTHS)
        assert any("checkpoint stored in" in note for note in plan.notes) == said, (engine, precision)


def test_fp8_by_vllm_needs_a_card_of_7_5():
    assert api.estimate_model(LLAMA, "T4", engine="vllm", precision="fp8", advice=False, **LENGTHS)
    with pytest.raises(ullage.UnsupportedError, match=r"fp8 needs compute capability 7\.5"):
        api.estimate_model(LLAMA, "V100-SXM2-32GB", engine="vllm", precision="fp8", advice=False, **LENGTHS)


@pytest.mark.parametrize("precision", ["auto", "int8", "nf4"])
@pytest.mark.parametrize("model", [LLAMA, "Qwen2.5-72B-Instruct"])
def test_no_advice_has_bits_that_an_engine_does_not_make(model, precision):
    plan = api.estimate_model(
        model, "2x A100-80GB", precision=precision, advice=False, prompt_tokens=1024, new_tokens=256
    )
    found = set()
    for entry in ullage.advise(plan).entries:
        set_ = dict(entry.changes)
        engine = set_.get("roles.model.engine", "transformers")
        bits = set_.get("roles.model.precision", precision)
        found.add((engine, bits))
    assert found <= {
        ("transformers", "auto"),
        ("transformers", "int8"),
        ("transformers", "nf4"),
        ("transformers", "nf4-dq"),
        ("vllm", "auto"),
        ("vllm", "fp8"),
    }
    assert ("vllm", "fp8") in found


def test_each_chunk_of_a_long_prompt_reads_the_cache_of_those_before_it():
    """At 100 % of the bandwidth: half of the cache on average, three times, as it is appended to."""
    fields = {"prompt_tokens": 65_536, "new_tokens": 8, "batch": 4, "attention": "flash"}
    found = {}
    for size in (None, 2048, 32):
        chunks = [] if size is None else [f"memory.streaming_chunk_size={size}"]
        plan = api.estimate_model(LLAMA, "A100-80GB", advice=False, set_=chunks, **fields)
        found[size] = next(each for each in plan.times if each.phase.endswith("prefill")).seconds
    cache = 4 * 65_536 * 2 * 8 * 128 * 2 * 32
    assert found[32].low > 3 * cache * (65_536 / 32) / 2 / 2.039e12 / 1.2
    assert found[None].expected <= found[2048].expected < found[32].expected / 2


def test_a_prompt_that_takes_longer_than_what_is_written_says_what_bounds_it():
    """A serve phase of long prompts and one token was said to be bound by memory, as its one step is."""
    assert served("A10G", prompt_tokens=8192, new_tokens=1)["serve"].bound == "compute"
    assert served("A10G", prompt_tokens=1, new_tokens=512)["serve"].bound == "memory"


def test_cards_that_multiply_in_fp8_read_prompts_faster_in_it():
    """5,418 tokens a second where 16 bits wrote 3,708 on an RTX 5090 (vLLM issue 16515)."""

    def read(gpus, precision):
        own = {"prompt_tokens": 2048, "new_tokens": 1, "batch": 16, "precision": precision}
        return served(gpus, **own)["serve"].seconds.expected

    for able in ("RTX 5090", "H100", "L40S"):
        assert 1.2 < read(able, "bf16") / read(able, "fp8") < 1.5
    for other in ("A100-80GB", "MI300X"):
        assert read(other, "bf16") / read(other, "fp8") < 1.05
