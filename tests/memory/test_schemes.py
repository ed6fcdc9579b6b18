"""The sizes of quantized weights, held against bitsandbytes' own tensors."""

import pytest

from ullage.facts.architecture import StoredQuantization, Weight
from ullage.memory.weights.precision import ResolvedPrecision
from ullage.memory.weights.schemes import quantizes, stored_tensors

SCHEMES = ("int8", "nf4", "nf4-dq")


def resolved(storage, quantization=None):
    return ResolvedPrecision(storage, "bf16", "", quantization)


def tensor_bytes(parameter):
    size = parameter.numel() * parameter.element_size()
    scales = getattr(parameter, "SCB", None)
    if scales is not None:
        size += scales.numel() * scales.element_size()
    state = getattr(parameter, "quant_state", None)
    if state is not None:
        held = [state.absmax, state.code]
        if state.nested:
            held += [state.state2.absmax, state.state2.code, state.offset]
        size += sum(tensor.numel() * tensor.element_size() for tensor in held)
    return size


def quantized_model(folder, model, scheme):
    import torch
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    model.to(torch.bfloat16).save_pretrained(folder)
    if scheme == "int8":
        config = BitsAndBytesConfig(load_in_8bit=True)
    else:
        config = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=scheme == "nf4-dq",
        )
    return AutoModelForCausalLM.from_pretrained(
        folder, quantization_config=config, dtype=torch.bfloat16, device_map={"": "cpu"}
    )


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_weight_has_the_bytes_bitsandbytes_gives_it(tmp_path, llama, scheme):
    pytest.importorskip("bitsandbytes")
    from transformers import LlamaConfig, LlamaForCausalLM

    fields = {"hidden_size": 192, "intermediate_size": 320, "num_hidden_layers": 2}
    fields |= {"num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 256}
    config = LlamaConfig(**fields)
    model = quantized_model(tmp_path, LlamaForCausalLM(config), scheme)
    measured = sum(tensor_bytes(parameter) for parameter in model.parameters())
    architecture = llama(**fields)
    weights = [w for layer in architecture.layers for w in layer.weights]
    weights += [*architecture.embeddings, *architecture.final, *architecture.head]
    assert measured == sum(sum(stored_tensors(w, resolved(scheme))) for w in weights)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_fused_experts_stay_in_16_bits_as_in_transformers(tmp_path, scheme):
    pytest.importorskip("bitsandbytes")
    from transformers import MixtralConfig, MixtralForCausalLM

    config = MixtralConfig(
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=1,
        num_attention_heads=4,
        num_key_value_heads=2,
        vocab_size=256,
        num_local_experts=4,
    )
    model = quantized_model(tmp_path, MixtralForCausalLM(config), scheme)
    experts = {name: parameter for name, parameter in model.named_parameters() if "experts" in name}
    assert experts
    for name, parameter in experts.items():
        weight = Weight(name, tuple(parameter.shape), "experts")
        assert tensor_bytes(parameter) == sum(stored_tensors(weight, resolved(scheme)))
        assert not quantizes(weight, resolved(scheme))


def bits(storage, rows=4096, columns=4096, quantization=None):
    weight = Weight("w", (rows, columns), "linear")
    return 8 * sum(stored_tensors(weight, resolved(storage, quantization))) / weight.elements


@pytest.mark.parametrize(
    ("storage", "expected"),
    [
        ("nf4", 4.5),
        ("nf4-dq", 4.127),
        ("int8", 8.0),
        ("awq", 4.16),
        ("gptq-int4", 4.16),
        ("mxfp4", 4.25),
        ("q4_k", 4.5),
        ("q6_k", 6.5625),
        ("q8_0", 8.5),
        ("q2_k", 2.625),
    ],
)
def test_bits_per_weight_of_published_formats(storage, expected):
    weight = Weight("w", (4096, 4096), "experts" if storage == "mxfp4" else "linear")
    size = 8 * sum(stored_tensors(weight, resolved(storage))) / weight.elements
    assert size == pytest.approx(expected, abs=0.02)


def test_skipped_modules_stay_in_16_bits():
    skipping = StoredQuantization("fp8", 8, 0, skipped=("o_proj",))
    weight = Weight("self_attn.o_proj.weight", (64, 64), "linear")
    assert sum(stored_tensors(weight, resolved("fp8", skipping))) == 2 * weight.elements


def test_a_gguf_checkpoint_is_counted_as_transformers_holds_it(llama):
    from dataclasses import replace

    from ullage.facts.architecture import Checkpoint
    from ullage.memory.weights.precision import resolve_precision
    from ullage.spec.role import Role

    model = replace(llama(), checkpoint=Checkpoint("gguf", "m.gguf", ()))
    found = resolve_precision(Role(model="m.gguf"), model, (8, 0))
    assert found.storage == "bf16"
    assert "dequantizes" in found.reason
    assert resolve_precision(Role(model="m.gguf", precision="q4_k"), model, (8, 0)).storage == "q4_k"


@pytest.mark.parametrize(
    ("asked", "capability", "storage"),
    [
        ("auto", (8, 0), "bf16"),
        ("auto", (7, 5), "fp16"),
        ("auto", (5, 2), "fp32"),
        ("bf16", (7, 5), "fp16"),
        ("fp16", (5, 2), "fp32"),
        ("fp32", (9, 0), "fp32"),
    ],
)
def test_precision_falls_back_with_its_reason(llama, asked, capability, storage):
    from ullage.memory.weights.precision import resolve_precision
    from ullage.spec.role import Role

    found = resolve_precision(Role(model="m", precision=asked), llama(), capability)
    assert found.storage == storage
    assert found.reason
