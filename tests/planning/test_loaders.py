"""What loaders of today refuse or do otherwise, known before anything is loaded."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import small_models

import ullage
from ullage import api
from ullage.errors import SpecError, UnsupportedError
from ullage.facts.architecture import StoredQuantization
from ullage.facts.catalog import find_model
from ullage.facts.checkpoint import Checkpoint
from ullage.facts.gpu_set import parse_gpu_set
from ullage.memory.weights.precision import ResolvedPrecision
from ullage.runtime.machine import check_kernels
from ullage.runtime.quantization import dequantizing_config, quantization_config, unpacking_config
from ullage.units import GIB, MIB

ONE = "meta-llama/Llama-3.2-1B-Instruct"


def test_a_cast_takes_no_second_copy_on_a_small_card():
    """Safetensors open on the processor, where a copy to the card casts."""
    fields = {"precision": "fp16", "prompt_tokens": 256, "new_tokens": 64}
    found = api.estimate_model(ONE, "GTX 1650", **fields)
    assert found.verdict == "fits"
    load = [item.bytes for item in found.bill.items if item.component == "load"]
    assert max(each.high for each in load) < MIB


def test_a_tied_fp8_checkpoint_keeps_a_second_output_layer():
    """3,462 MiB live on an H200 (transformers 5, FlashAttention)."""
    fields = {"precision": "fp8", "prompt_tokens": 6144, "new_tokens": 2048, "attention": "flash"}
    found = api.estimate_model("Qwen/Qwen3-1.7B", "H200", **fields)
    live = found.devices[0].peak.live
    assert live.expected == pytest.approx(3462 * MIB, rel=0.03)
    assert live.high >= 3462 * MIB
    assert found.roles["model"].part.layers is None
    model = find_model("Qwen/Qwen3-1.7B")

    def weights(**other):
        plan = api.estimate_model("Qwen/Qwen3-1.7B", "H200", **(fields | other))
        return sum(
            item.bytes.expected
            for item in plan.bill.items
            if item.component == "weights" and item.phase == "model load"
        )

    assert model.tied
    head = 2 * model.vocab_size * model.hidden_size
    assert weights(engine="transformers") - weights(engine="vllm", attention="auto") == pytest.approx(
        head, rel=0.05
    )


@pytest.mark.parametrize(
    ("model", "gpus", "gib"),
    [
        ("deepseek-ai/DeepSeek-V3", "10xA100-80GB", 1250),  # 671e9 parameters in 16 bits
        ("openai/gpt-oss-20b", "2xV100-SXM2-16GB", 38),
    ],
)
def test_what_a_card_does_not_compute_with_becomes_16_bits_and_the_verdict_knows(model, gpus, gib):
    found = api.estimate_model(model, gpus, precision="stored")
    assert found.verdict == "does not fit"
    assert sum(device.peak.live.expected for device in found.devices) > gib * GIB


def test_cards_without_kernels_are_named_and_never_advised():
    found = api.estimate_model("openai/gpt-oss-20b", "2xV100-SXM2-16GB", precision="stored")
    assert any("V100-SXM2-16GB: torch's wheels have no kernels" in note for note in found.notes)
    workload = api.bare_workload(ONE, prompt_tokens=128, new_tokens=16)
    offered = [gpus for gpus, _ in api.gpus(workload)]
    assert offered
    assert all(gpus.abilities.has_kernels for gpus in offered)
    advised = ullage.plan(workload, "A100-80GB").advice
    assert advised
    assert all(parse_gpu_set(entry.gpus.replace(" + ", ",")).abilities.has_kernels for entry in advised)
    assert not any("kernels" in note for note in api.estimate_model(ONE, "T4").notes)


def test_a_card_that_the_installed_torch_has_no_kernels_for_is_refused_at_a_run(monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: ["sm_75", "sm_90a", "sm_120", "compute_120"])
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda index: "Tesla V100-SXM2-16GB")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda index: (7, 5))
    check_kernels(1)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda index: (7, 0))
    with pytest.raises(UnsupportedError, match=r"gpu:0 is Tesla V100.* has kernels from 7\.5 on"):
        check_kernels(1)


@pytest.mark.parametrize("precision", ["int8", "nf4", "q8_0", "q4_k"])
def test_a_gguf_file_is_asked_for_16_bits_alone(precision):
    """transformers refuses the former after it has read all of the file."""
    model = replace(find_model(ONE), checkpoint=Checkpoint("gguf", "small.gguf", ()))
    workload = api.bare_workload("m", precision=precision, prompt_tokens=128, new_tokens=16)
    with pytest.raises(UnsupportedError, match=f"16 bits as it loads it and not into {precision}"):
        api.estimate(workload, {"m": model}, parse_gpu_set("A100-80GB"))


@pytest.mark.parametrize("where", [{"max_memory": {"disk": "9GiB"}}, {"device_map": {"": "disk"}}])
def test_nothing_of_a_gguf_file_is_left_on_disk(where):
    model = replace(find_model(ONE), checkpoint=Checkpoint("gguf", "small.gguf", ()))
    workload = api.bare_workload("m", prompt_tokens=128, **where)
    with pytest.raises(UnsupportedError, match="leaves nothing on disk; use cpu"):
        api.estimate(workload, {"m": model}, parse_gpu_set("A100-80GB"))


def test_a_run_has_a_gguf_file_dequantized_by_versions_that_would_keep_its_blocks():
    import transformers

    told = unpacking_config(transformers)
    assert told.dequantize if hasattr(transformers, "GgufConfig") else told is None
    assert unpacking_config(SimpleNamespace()) is None


def test_awq_is_computed_with_in_fp16_and_gptq_as_the_card_does():
    model = find_model("Qwen/Qwen2.5-7B-Instruct")
    workload = api.bare_workload("m", prompt_tokens=128, new_tokens=16)
    gpus = parse_gpu_set("A100-80GB")
    for method, compute in (("awq", "fp16"), ("gptq", "bf16")):
        stored = replace(model, quantization=StoredQuantization(method, 4, 128))
        assert api.estimate(workload, {"m": stored}, gpus).precisions["model"].compute == compute


@pytest.mark.parametrize("card", ["A100-80GB", "MI300X", "cpu"])
@pytest.mark.parametrize("group", [128, 256])
def test_gptq_outside_of_its_kernels_keeps_zeros_and_order_and_is_dequantized(card, group):
    """Marlin takes no groups of 256, and runs on NVIDIA's cards alone (gptqmodel 7.3)."""
    model = replace(find_model("Qwen/Qwen2.5-7B-Instruct"), quantization=StoredQuantization("gptq", 4, group))
    workload = api.bare_workload("m", prompt_tokens=128, new_tokens=16)
    found = api.estimate(workload, {"m": model}, parse_gpu_set(card)).precisions["model"].scheme
    inside = card == "A100-80GB" and group == 128
    assert (found.product is None) == inside
    assert ({part.per for part in found.parts} >= {"element", "group", "column"}) == (not inside)


def test_awq_in_groups_that_no_kernel_takes_is_refused_by_name():
    model = replace(find_model("Qwen/Qwen2.5-7B-Instruct"), quantization=StoredQuantization("awq", 4, 256))
    workload = api.bare_workload("m", prompt_tokens=128, new_tokens=16)
    with pytest.raises(UnsupportedError, match=r"awq in groups of 256 inputs.*groups of 128, 64 or 32"):
        api.estimate(workload, {"m": model}, parse_gpu_set("A100-80GB"))


def test_a_gguf_file_is_read_without_a_bar_which_is_there_again_afterwards():
    from transformers import modeling_gguf_pytorch_utils as reader

    from ullage.runtime.libraries import in_turn

    before = reader.tqdm
    assert in_turn(lambda: reader.tqdm([1]).disable)() is True
    assert reader.tqdm is before


OFFLOADED = {
    "kind": "evaluate",
    "budget": {"gpus": "A100-40GB", "reserve": "0%"},
    "roles": {
        "generator": {
            "model": "meta-llama/Llama-3.1-70B-Instruct",
            "precision": "int8",
            "max_memory": {"cpu": "400GiB"},
        }
    },
    "prompt_tokens": 512,
    "new_tokens": 32,
}


def test_quantized_weights_wait_in_host_memory_only_where_the_file_says_so_and_in_16_bits():
    refused = ullage.plan(OFFLOADED, advice=False)
    assert refused.verdict == "does not fit"
    assert "offloads no int8 weights" in refused.roles["generator"].placement.reason
    role = {**OFFLOADED["roles"]["generator"], "llm_int8_enable_fp32_cpu_offload": True}
    found = ullage.plan(dict(OFFLOADED, roles={"generator": role}), advice=False)
    assert found.verdict == "fits"
    where = found.roles["generator"].placement.device_map
    model = find_model("meta-llama/Llama-3.1-70B-Instruct")
    layer = 2 * sum(weight.elements for weight in model.layers[0].weights)
    waiting = sum(device == "cpu" for name, device in where.items() if name.startswith("layers"))
    head = 2 * sum(weight.elements for weight in (*model.final, *model.head))
    host = next(device.peak.live for device in found.devices if device.name == "host")
    assert host.expected == waiting * layer + head
    passing = [item.bytes for item in found.bill.items if "offloaded block" in item.note]
    assert {each.high for each in passing} == {max(layer, head)}
    on_card = sum(
        item.bytes.expected
        for item in found.bill.items
        if (item.device, item.component, item.phase) == ("gpu:0", "weights", "generator decode")
    )
    assert on_card < (80 - waiting) * 0.51 * layer + 2 * model.vocab_size * model.hidden_size


@pytest.mark.parametrize("precision", ["int8", "nf4"])
def test_the_loader_keeps_what_waits_as_it_is_planned(tmp_path, precision):
    import torch
    import transformers

    folder = small_models.save(tmp_path / "m", "llama", layers=2)
    planned = ResolvedPrecision(precision, "bf16", "", keeps_waiting=True)
    places = {"model.embed_tokens": "cpu", "model.rotary_emb": "cpu", "model.layers.0": "cpu"}
    places |= {"model.layers.1": "disk", "model.norm": "cpu", "lm_head": "cpu"}

    def load(resolved):
        return transformers.AutoModelForCausalLM.from_pretrained(
            folder,
            quantization_config=quantization_config(transformers, resolved),
            dtype=torch.bfloat16,
            device_map=places,
            offload_folder=str(folder),
        )

    loaded = load(planned)
    assert {parameter.dtype for parameter in loaded.parameters()} == {torch.bfloat16}
    with pytest.raises(ValueError, match="llm_int8_enable_fp32_cpu_offload"):
        load(ResolvedPrecision(precision, "bf16", ""))


def test_offloading_what_is_quantized_needs_something_that_is():
    role = {**OFFLOADED["roles"]["generator"], "llm_int8_enable_fp32_cpu_offload": True, "precision": "bf16"}
    with pytest.raises(SpecError, match="has an effect with precision: int8 or nf4"):
        ullage.plan(dict(OFFLOADED, roles={"generator": role}), advice=False)


@pytest.mark.parametrize("method", ["fp8", "mxfp4"])
def test_a_checkpoint_that_is_planned_in_16_bits_is_loaded_so_whatever_the_first_card_is(method):
    import transformers
    from transformers.quantizers.auto import AutoHfQuantizer

    stored = {"quant_method": method, "modules_to_not_convert": ["lm_head"]}
    told = dequantizing_config(transformers, stored, ResolvedPrecision("fp16", "fp16", ""))
    merged = AutoHfQuantizer.merge_quantization_configs(dict(stored), told)
    assert merged.dequantize
    assert merged.modules_to_not_convert == ["lm_head"]
    as_it_is = ResolvedPrecision(method, "bf16", "", StoredQuantization(method, 8))
    assert dequantizing_config(transformers, stored, as_it_is) is None
    assert dequantizing_config(transformers, None, ResolvedPrecision("fp16", "fp16", "")) is None
