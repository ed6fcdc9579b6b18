"""A role's own device map is what its model is loaded by."""

import random
from pathlib import Path

import pytest
import small_models

import ullage
from ullage.errors import InputError
from ullage.facts.model import open_model
from ullage.runtime.loader import load_model, module_map

WORK = {"kind": "extract", "prompt_tokens": 16, "new_tokens": 4, "examples": 2}


def planned(folder, device_map):
    """On the processor: what is not on disk is computed where it lies."""
    roles = {"model": {"model": str(folder), "device_map": device_map}}
    plan = ullage.plan({**WORK, "roles": roles}, "cpu", base=Path(), advice=False)
    return plan, plan.workload.roles["model"], plan.roles["model"]


def names(model):
    """Its layers by their names, what stands before them, and what after."""
    layers = [name for name, _ in model.named_modules() if name.rpartition(".")[2].isdigit()]
    layers = [name for name in layers if not any(part.isdigit() for part in name.split(".")[:-1])]
    rest = [name for name, module in model.named_modules() if name and not any(module.children())]
    rest = [name for name in rest if not any(part.isdigit() for part in name.split("."))]
    last = [name for name in rest if "norm" in name or "ln_f" in name or name in ("lm_head", "embed_out")]
    return layers, [name for name in rest if name not in last], last


@pytest.mark.parametrize("family", small_models.FAMILIES)
@pytest.mark.long
def test_every_module_is_where_the_file_puts_it_and_gives_the_same(family, tmp_path):
    folder = small_models.save(tmp_path / family, family)
    layers, first, last = names(small_models.build(family))
    chance = random.Random(family)
    where = [chance.choice(["cpu", "disk"]) for _ in layers]
    where[0], where[-1] = "cpu", "disk"
    device_map = dict.fromkeys(first, "cpu") | dict(zip(layers, where, strict=True))
    device_map |= dict.fromkeys(last, "cpu")
    plan, role, found = planned(folder, device_map)
    modules = module_map(role, found)
    loaded = load_model(role, found)
    assert {name: modules[name] for name in layers} == dict(zip(layers, where, strict=True))
    for name, module in loaded.model.named_modules():
        if name in layers:
            devices = {parameter.device.type for parameter in module.parameters()}
            assert devices == ({"meta"} if device_map[name] == "disk" else {"cpu"}), name
    billed = {"cpu": 0, "disk": 0}
    for item in plan.bill.items:
        if item.component == "weights" and item.phase == "model load":
            billed[item.device] += item.bytes.expected
    here = {id(each): each for each in loaded.model.parameters() if each.device.type == "cpu"}
    assert billed["cpu"] == sum(each.numel() * each.element_size() for each in here.values())
    whole = load_model(*planned(folder, {"": "cpu"})[1:])
    site = "blocks.3.hook_resid_post"
    states = [
        ullage.Extractor(each.model, [site]).read([[5, 6, 7, 8]])[0].states[site] for each in (loaded, whole)
    ]
    assert (states[0] - states[1]).abs().max() == 0


def test_a_name_that_the_models_own_code_does_not_have_is_refused_where_it_is_loaded(tmp_path):
    folder = small_models.save(tmp_path / "llama", "llama")
    _, role, found = planned(folder, {"": "cpu"})
    role = role.model_copy(update={"device_map": {"language_model.layers": "cpu", "": "cpu"}})
    with pytest.raises(InputError, match=r"'language_model\.layers' is no module of LlamaForCausalLM"):
        load_model(role, found)


def test_a_run_on_simulated_devices_takes_what_is_billed_where_the_file_puts_it(tmp_path):
    work = """
kind: extract
roles:
  model:
    model: ullage:tiny
    device_map: {model.embed_tokens: 0, model.layers.0-1: 1, model.layers.2-5: 0, model.norm: 1, lm_head: 1}
budget: {gpus: "2x(cpu, 64MiB)"}
prompt_tokens: 32
new_tokens: 4
captures: [{sites: [blocks.5.hook_resid_post]}]
extract: {input: texts.jsonl}
"""
    (tmp_path / "work.yaml").write_text(work)
    (tmp_path / "texts.jsonl").write_text('{"text": "The lake is deep."}\n')
    ullage.run(ullage.load(tmp_path / "work.yaml"), tmp_path / "run", base=tmp_path)
    found = ullage.verify(tmp_path / "run")
    weights = {
        each.device: (each.predicted.expected, each.measured)
        for each in found.comparisons
        if (each.phase, each.what) == ("model load", "weights")
    }
    tiny = open_model("ullage:tiny")
    layer, tokens = 4 * tiny.layers[0].elements, 4 * tiny.embeddings[0].elements
    # All six layers are read, in fp32, with the norm and without a head.
    assert weights["gpu:0"] == (tokens + 4 * layer,) * 2
    assert weights["gpu:1"] == (2 * layer + 4 * tiny.final[0].elements,) * 2
    assert set(weights) == {"gpu:0", "gpu:1"}
