"""What a vLLM engine is started with, which needs no vLLM to be said."""

import json
from types import SimpleNamespace

import jsonschema
import pytest
import small_models

import ullage
from ullage import api
from ullage.engines.vllm import _options, _speculation
from ullage.errors import UnsupportedError
from ullage.planning.document import plan_document
from ullage.workloads.loading import plan_of

LLAMA = "meta-llama/Llama-3.1-8B-Instruct"


def session(plan):
    return SimpleNamespace(workload=plan.workload, plan=plan, download=False)


def test_a_cache_of_the_size_that_is_planned_is_asked_for_unless_the_file_gives_a_share():
    free = api.estimate_model(LLAMA, "1xA100-80GB", engine="vllm", batch=4)
    options = _options(session(free), "model")
    caches = [item.bytes.high for item in free.bill.items if item.component == "kv_cache"]
    assert options["kv_cache_memory_bytes"] == max(caches)
    assert options["gpu_memory_utilization"] == free.roles["model"].share.least
    given = api.estimate_model(LLAMA, "1xA100-80GB", engine="vllm", vllm={"gpu_memory_utilization": 0.9})
    options = _options(session(given), "model")
    assert "kv_cache_memory_bytes" not in options
    assert options["gpu_memory_utilization"] == 0.9


def test_a_cache_in_fp8_is_asked_for_as_it_is_planned_and_what_vllm_lacks_is_refused():
    whole = api.estimate_model(LLAMA, "1xH100", engine="vllm", batch=4)
    half = api.estimate_model(LLAMA, "1xH100", engine="vllm", batch=4, cache={"precision": "fp8"})
    assert "kv_cache_dtype" not in _options(session(whole), "model")
    options = _options(session(half), "model")
    assert options["kv_cache_dtype"] == "fp8"
    assert options["kv_cache_memory_bytes"] < _options(session(whole), "model")["kv_cache_memory_bytes"]
    for cache in ({"kind": "quantized", "precision": "int8"}, {"precision": "int8"}, {"kind": "static"}):
        with pytest.raises(UnsupportedError, match=r"role model: .*cache"):
            api.estimate_model(LLAMA, "1xH100", engine="vllm", cache=cache)


def test_the_longest_sequence_ends_with_the_window():
    full = {"prompt_tokens": 32_768, "new_tokens": 0}
    plan = api.estimate_model("Qwen/Qwen2.5-7B-Instruct", "1xA100-80GB", engine="vllm", **full)
    assert _options(session(plan), "model")["max_model_len"] == 32_768
    short = api.estimate_model(
        "Qwen/Qwen2.5-7B-Instruct", "1xA100-80GB", engine="vllm", prompt_tokens=100, new_tokens=0
    )
    assert _options(session(short), "model")["max_model_len"] == 108


def test_a_draft_model_is_told_to_the_engine_as_it_lies_here_and_survives_a_written_plan(tmp_path):
    tiny = small_models.save(tmp_path / "tiny", "llama")
    config = {"model": "tiny", "num_speculative_tokens": 3}
    (tmp_path / "work.yaml").write_text(
        json.dumps(
            {
                "kind": "evaluate",
                "budget": {"gpus": "1xL4"},
                "roles": {
                    "generator": {
                        "model": str(tiny),
                        "engine": "vllm",
                        "vllm": {"speculative_config": config},
                    }
                },
                "prompt_tokens": 64,
                "new_tokens": 8,
            }
        )
    )
    plan = ullage.plan(tmp_path / "work.yaml", advice=False)
    document = plan_document(plan)
    jsonschema.validate(document, ullage.document_schema("plan"))
    read = plan_of(document, "plan.json", tmp_path)
    assert read.roles["generator"].share == plan.roles["generator"].share
    role = read.workload.roles["generator"]
    assert role == plan.workload.roles["generator"]
    assert _speculation(session(plan), role) == {"model": str(tiny), "num_speculative_tokens": 3}
    looked_up = role.model_validate(
        {"model": "m", "engine": "vllm", "vllm": {"speculative_config": {"method": "ngram"}}}
    )
    assert _speculation(session(plan), looked_up) == {"method": "ngram", "num_speculative_tokens": 5}


def test_weights_are_turned_into_what_vllm_itself_makes():
    """Its own name for fp8 is a checkpoint's, and bitsandbytes is left to a plugin since 0.28."""
    made = api.estimate_model(LLAMA, "1xH100", engine="vllm", precision="fp8", advice=False)
    assert _options(session(made), "model")["quantization"] == "fp8_per_tensor"
    for precision in ("int8", "nf4"):
        plan = api.estimate_model(LLAMA, "1xH100", engine="vllm", precision=precision, advice=False)
        with pytest.raises(UnsupportedError, match="use precision: fp8, or a checkpoint stored quantized"):
            _options(session(plan), "model")
