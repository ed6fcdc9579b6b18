"""A LoRA adapter is its base with it: counted from its header, refused where it is anything else."""

import json
import struct

import pytest

import ullage
from ullage.errors import InputError
from ullage.facts.model import open_model

LORA = {"peft_type": "LORA", "base_model_name_or_path": "ullage:tiny", "bias": "none", "r": 4}
TINY = {"q_proj": (256, 192), "v_proj": (128, 192)}
"""Shapes of weights of the bundled model's attention."""


def matrices(shapes=None, layers=6, rank=4):
    """Names and shapes of an adapter's tensors."""
    found = {}
    for layer in range(layers):
        for module, (outside, inside) in (shapes or TINY).items():
            at = f"base_model.model.model.layers.{layer}.self_attn.{module}"
            found |= {f"{at}.lora_A.weight": (rank, inside), f"{at}.lora_B.weight": (outside, rank)}
    return found


def weights(shapes):
    """A safetensors file of these tensors, all zeros, in fp32."""
    header, at = {}, 0
    for name, shape in shapes.items():
        size = 4 * shape[0] * shape[1]
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes(at)


@pytest.fixture
def adapter(tmp_path):
    """Makes a folder of an adapter, with other fields or tensors."""

    def make(shapes=None, **fields):
        folder = tmp_path / "adapter"
        folder.mkdir(exist_ok=True)
        (folder / "adapter_config.json").write_text(json.dumps(LORA | fields))
        (folder / "adapter_model.safetensors").write_bytes(weights(shapes or matrices()))
        return folder

    return make


def held(plan, component):
    """Expected bytes of what an adapter adds while the model is loaded."""
    found = [item for item in plan.bill.items if item.note == "adapter" and item.component == component]
    return sum(item.bytes.expected for item in found if item.phase == "model load")


def test_an_adapter_adds_its_matrices_to_its_base(adapter):
    folder = adapter()
    elements = sum(a * b for a, b in matrices().values())
    model, base = open_model(str(folder)), open_model("ullage:tiny")
    assert model.parameters == base.parameters + elements
    assert model.parameters_by_component["adapter"] == elements
    for precision, size in (("fp32", 4), ("bf16", 2)):
        alone = ullage.estimate_model("ullage:tiny", "A100-80GB", precision=precision)
        plan = ullage.estimate_model(str(folder), "A100-80GB", precision=precision)
        assert held(plan, "weights") == elements * size
        one, other = (each.devices[0].peak.live for each in (alone, plan))
        assert one.expected + elements * size <= other.expected <= other.high


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"peft_type": "PROMPT_TUNING"}, "adapter of kind PROMPT_TUNING"),
        ({"peft_type": "IA3"}, "adapter of kind IA3"),
        ({"use_dora": True}, "use_dora"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
        ({"bias": "all"}, "LoRA adapter with bias"),
        ({"base_model_name_or_path": None}, "does not name the model"),
        ({"base_model_name_or_path": "nobody/has-this"}, "the model it belongs to cannot be read"),
        ({"base_model_name_or_path": "./nowhere"}, "no such file"),
        (
            {"base_model_name_or_path": "Qwen/Qwen3-0.6B"},
            r"another model than Qwen/Qwen3-0.6B, where .*q_proj",
        ),
        ({"base_model_name_or_path": "black-forest-labs/FLUX.1-schnell"}, "no language model"),
    ],
)
def test_what_is_no_plain_lora_of_its_base_is_refused_in_a_line(adapter, fields, said):
    with pytest.raises(InputError, match=said) as error:
        open_model(str(adapter(**fields)))
    assert "\n" not in str(error.value)


def test_matrices_must_be_those_of_the_base(adapter):
    wrong = {
        "has no linear weight self_attn.q_proj of layer 6": matrices(layers=7),
        r"is \(256, 192\); the adapter's is \(256, 200\)": matrices({"q_proj": (256, 200)}),
        "no LoRA matrix": {"base_model.model.lm_head.weight": (1536, 192)},
        "do not belong together": {
            name: shape
            for name, shape in matrices().items()
            if "layers.3.self_attn.q_proj.lora_B" not in name
        },
    }
    for said, shapes in wrong.items():
        with pytest.raises(InputError, match=said):
            open_model(str(adapter(shapes)))


def test_pickles_and_adapters_of_adapters_are_refused(adapter, tmp_path):
    folder = adapter(base_model_name_or_path=str(tmp_path / "adapter"))
    with pytest.raises(InputError, match="is an adapter too"):
        open_model(str(folder))
    (adapter() / "adapter_model.safetensors").rename(folder / "adapter_model.bin")
    with pytest.raises(InputError, match="pickles"):
        open_model(str(folder))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"engine": "vllm"}, "engine vllm is not given"),
        ({"max_memory": {0: "4MiB", "cpu": "1GiB"}}, "take none"),
    ],
)
def test_where_it_could_not_run_it_is_not_planned(adapter, fields, said):
    with pytest.raises(InputError, match=said):
        ullage.estimate_model(str(adapter()), "T4", prompt_tokens=16, **fields)
