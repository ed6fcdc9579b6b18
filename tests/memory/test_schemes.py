"""The sizes of quantized weights, held against the real code's tensors or the formats' own layout."""

import math
from dataclasses import replace

import pytest

from ullage import api
from ullage.errors import SpecError, UnsupportedError
from ullage.facts.abilities import nvidia
from ullage.facts.architecture import StoredQuantization, Weight
from ullage.facts.checkpoint import Checkpoint
from ullage.facts.gguf import GGML_TYPES
from ullage.facts.quantization.known import METHODS, SCHEMES, by_transformers
from ullage.facts.quantization.scheme import Dequantized, OnLoad, Scheme
from ullage.memory.weights.loading import load_bytes
from ullage.memory.weights.precision import ResolvedPrecision, resolve_precision
from ullage.memory.weights.schemes import quantizes, stored_tensors
from ullage.runtime.quantization import quantization_config
from ullage.spec.role import Role


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
    import transformers

    model.to(torch.bfloat16).save_pretrained(folder)
    return transformers.AutoModelForCausalLM.from_pretrained(
        folder,
        quantization_config=quantization_config(transformers, resolved(scheme)),
        dtype=torch.bfloat16,
        device_map={"": "cpu"},
    )


@pytest.mark.parametrize("scheme", by_transformers())
def test_every_weight_has_the_bytes_the_real_code_gives_it(tmp_path, llama, scheme):
    from transformers import LlamaConfig, LlamaForCausalLM

    fields = {"hidden_size": 192, "intermediate_size": 320, "num_hidden_layers": 2}
    fields |= {"num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 256}
    model = quantized_model(tmp_path, LlamaForCausalLM(LlamaConfig(**fields)), scheme)
    measured = sum(tensor_bytes(parameter) for parameter in model.parameters())
    architecture = llama(**fields)
    weights = [w for layer in architecture.layers for w in layer.weights]
    weights += [*architecture.embeddings, *architecture.final, *architecture.head]
    assert measured == sum(sum(stored_tensors(w, resolved(scheme))) for w in weights)


@pytest.mark.parametrize("scheme", by_transformers())
def test_fused_experts_stay_in_16_bits_as_in_transformers(tmp_path, scheme):
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


ROWS, COLUMNS = 512, 1024


def fp8_layer(_):
    from transformers.integrations.finegrained_fp8 import FP8Linear

    layer = FP8Linear(COLUMNS, ROWS, block_size=(128, 128), activation_scheme="dynamic")
    return [tensor.numel() * tensor.element_size() for tensor in layer.state_dict().values()]


def mxfp4_experts(_):
    """`gate_up_proj_blocks` as transformers makes them, and `_scales`: one byte per 32 elements."""
    from transformers import GptOssConfig
    from transformers.integrations.mxfp4 import Mxfp4GptOssExperts

    config = GptOssConfig(num_local_experts=1, hidden_size=COLUMNS, intermediate_size=ROWS // 2)
    blocks = Mxfp4GptOssExperts(config).gate_up_proj
    assert blocks.shape == (1, ROWS, COLUMNS // 32, 16)
    return [blocks.numel() * blocks.element_size(), ROWS * COLUMNS // 32]


def int32(*shape):
    return 4 * math.prod(shape)


def half(*shape):
    return 2 * math.prod(shape)


def gptq_layer(bits):
    """gptqmodel's MarlinLinear after `post_init`: qweight, scales and a workspace."""
    return [int32(COLUMNS * bits // 32, ROWS), half(COLUMNS // 128, ROWS), int32(128)]


def auto_gptq_layer(bits):
    """AutoGPTQ's QuantLinear: qweight, qzeros, scales, g_idx and bias as their safetensors list them."""
    groups = COLUMNS // 128
    packed = [int32(COLUMNS * bits // 32, ROWS), int32(groups, ROWS * bits // 32)]
    return [*packed, half(groups, ROWS), int32(COLUMNS), half(ROWS)]


def awq_layer(_):
    """gptqmodel's AwqMarlinLinear: eight 4-bit values in an int32, and a workspace."""
    return [*auto_awq_layer(_), int32(128)]


def auto_awq_layer(_):
    """AutoAWQ's WQLinear_GEMM: eight 4-bit values in an int32 along the outputs."""
    groups = COLUMNS // 128
    return [int32(COLUMNS, ROWS // 8), int32(groups, ROWS // 8), half(groups, ROWS)]


def gguf_tensor(name):
    _, elements, size = next(row for row in GGML_TYPES.values() if row[0].lower() == name)
    return [ROWS * COLUMNS // elements * size]


LAYOUTS = {
    "gptq-int8": (gptq_layer, 8, None),
    "gptq-int4": (gptq_layer, 4, None),
    "awq": (awq_layer, 4, None),
    "fp8": (fp8_layer, 8, StoredQuantization("fp8", 8, 128)),
    "mxfp4": (mxfp4_experts, 4, None),
} | {name: (gguf_tensor, name, None) for name in SCHEMES if name.startswith("q")}


@pytest.mark.parametrize("name", [name for name in SCHEMES if name not in by_transformers()])
def test_a_scheme_that_only_checkpoints_hold_has_its_formats_bytes(name):
    layout, given, stored = LAYOUTS[name]
    weight = Weight("w", (ROWS, COLUMNS), "experts" if name == "mxfp4" else "linear")
    assert sum(stored_tensors(weight, resolved(name, stored))) == sum(layout(given))


@pytest.mark.parametrize(
    ("method", "layout", "bits"),
    [("autogptq", auto_gptq_layer, 4), ("autogptq", auto_gptq_layer, 8), ("autoawq", auto_awq_layer, 4)],
)
def test_loaders_of_transformers_4_held_what_their_formats_say(method, layout, bits):
    weight = Weight("w", (ROWS, COLUMNS), "linear")
    stored = StoredQuantization(method, bits, 128)
    assert sum(stored_tensors(weight, resolved(method, stored))) == sum(layout(bits))
    assert method not in METHODS
    assert method not in SCHEMES


@pytest.mark.parametrize("bits", [4, 8])
def test_what_marlin_lets_go_of_stands_there_while_a_checkpoint_loads(bits, llama):
    """All zeros and orders of inputs until the last matrix is loaded, and then one matrix twice."""
    stored = StoredQuantization("gptq", bits, 128)
    model = replace(llama(hidden_size=256, intermediate_size=512), quantization=stored)
    layers = [each for layer in model.layers for each in layer.weights if each.role == "linear"]
    zeros = sum(-(-w.shape[1] // 128) * w.shape[0] * bits // 8 + 4 * w.shape[1] for w in layers)
    largest = max(w.elements for w in layers) * bits // 8
    found = load_bytes(model, resolved("gptq", stored), on_card=True)
    assert found.expected == zeros + largest


@pytest.mark.parametrize("name", SCHEMES)
def test_a_scheme_loads_by_transformers_if_and_only_if_the_loader_can_make_its_config(name):
    import transformers

    if name in by_transformers():
        made = quantization_config(transformers, resolved(name))
        assert type(made).__name__ == SCHEMES[name].on_load.config
        assert all(getattr(made, option) == value for option, value in SCHEMES[name].on_load.options)
    else:
        with pytest.raises(UnsupportedError, match="while they load"):
            quantization_config(transformers, resolved(name))


@pytest.mark.parametrize("name", SCHEMES)
def test_every_scheme_takes_fewer_bytes_than_the_dtype_it_replaces(name):
    scheme = SCHEMES[name]
    assert scheme.name == name
    weight = Weight("w", (ROWS, COLUMNS), min(scheme.replaces))
    assert sum(stored_tensors(weight, resolved(name))) < sum(stored_tensors(weight, resolved("bf16")))
    assert scheme.on_load is None or 0 < scheme.on_load.loss < 1
    assert isinstance(hash(scheme), int)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("bits", [4, 8])
def test_every_method_of_a_checkpoint_leads_to_a_scheme_that_may_be_asked_for(method, bits):
    scheme = METHODS[method](StoredQuantization(method, bits, 0))
    assert method in scheme.methods or scheme.name == method
    assert any(method in each.methods for each in SCHEMES.values())


@pytest.mark.parametrize(
    ("storage", "expected"),
    [
        ("nf4", 4.5),
        ("nf4-dq", 4.127),
        ("int8", 8.0),
        ("awq", 4.16),
        ("gptq-int4", 4.125),  # without the zeros of its file, which Marlin has no use for
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


def test_what_is_no_scheme_is_refused_by_name():
    with pytest.raises(UnsupportedError, match="'int3' is not described; known: int8, nf4"):
        stored_tensors(Weight("w", (8, 8), "linear"), resolved("int3"))


FP4 = Scheme(
    name="fp4",
    parts=SCHEMES["nf4"].parts,
    replaces=frozenset({"linear"}),
    methods=frozenset({"bitsandbytes"}),
    product=Dequantized(rows=2),
    on_load=OnLoad(
        config="BitsAndBytesConfig",
        options=(("load_in_4bit", True), ("bnb_4bit_quant_type", "fp4")),
        package="bitsandbytes",
        loss=0.04,
        trade="fp4 changes more answers than nf4",
        compute="bnb_4bit_compute_dtype",
    ),
)


@pytest.fixture
def fp4(monkeypatch):
    """A scheme that no line of the package knows."""
    monkeypatch.setitem(SCHEMES, FP4.name, FP4)
    return FP4


def values_of(schema, name="precision"):
    return schema["$defs"]["Role"]["properties"][name]["enum"]


def test_a_scheme_that_is_added_is_known_everywhere(fp4, tmp_path):
    assert "fp4" in values_of(api.schema())
    file = tmp_path / "workload.yaml"
    file.write_text(
        "kind: werewolf\nroles: {player: {model: Qwen/Qwen2.5-32B-Instruct, fallback_precisions: [fp4]}}\n"
    )
    workload = api.load(file)
    small = api.plan(workload, "1xA10", advice=False)
    assert "player is planned in fp4" in small.warnings[0]
    assert fp4.on_load.trade in small.warnings[0]
    with pytest.raises(SpecError, match=r"q8_0, fp4"):
        api.load(file, ["roles.player.precision=fp5"])


def test_advice_tries_a_scheme_that_is_added(fp4, monkeypatch):
    for name in list(by_transformers()):
        if name != "fp4":
            monkeypatch.delitem(SCHEMES, name)
    found = api.estimate_model("Qwen/Qwen2.5-32B-Instruct", "1xRTX 3090", advice=True)
    lower = [entry for entry in found.advice if ("roles.model.precision", "fp4") in entry.changes]
    assert lower
    assert all(entry.quality_loss >= fp4.on_load.loss for entry in lower)


def test_a_scheme_that_is_added_loads_and_takes_the_bytes_it_says(fp4, tmp_path, llama):
    test_every_weight_has_the_bytes_the_real_code_gives_it(tmp_path, llama, "fp4")


def test_what_was_added_is_gone_again():
    assert "fp4" not in values_of(api.schema())


def test_a_gguf_checkpoint_is_counted_as_transformers_holds_it(llama):
    model = replace(llama(), checkpoint=Checkpoint("gguf", "m.gguf", ()))
    ampere = nvidia((8, 0))
    found = resolve_precision(Role(model="m.gguf"), model, ampere)
    assert found.storage == "bf16"
    assert "dequantizes" in found.reason
    assert resolve_precision(Role(model="m.gguf", precision="q4_k"), model, ampere).storage == "q4_k"


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
    found = resolve_precision(Role(model="m", precision=asked), llama(), nvidia(capability))
    assert found.storage == storage
    assert found.reason
