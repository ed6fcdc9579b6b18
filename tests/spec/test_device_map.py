"""A role's own device map: accelerate's form, read against the modules of its model."""

import json

import pytest
import small_families
import small_models
from hypothesis import given
from hypothesis import strategies as st

import ullage
from ullage.errors import InputError, SpecError, UnsupportedError
from ullage.facts.model import open_model
from ullage.spec.device_map import block_devices
from ullage.spec.installed import all_engines

WORK = {"kind": "extract", "prompt_tokens": 16, "new_tokens": 4, "examples": 2}
TINY = open_model("ullage:tiny")
WHOLE = {"model.embed_tokens": 0, "model.layers": 0, "model.norm": 0, "lm_head": 0}


def plan(device_map, gpus="2xA100-80GB", **role):
    given = {"model": "ullage:tiny", "device_map": device_map, **role}
    return ullage.plan({**WORK, "roles": {"model": given}}, gpus, advice=False)


def wrong(device_map, model=TINY):
    return [each.told for each in block_devices(device_map, model)[1]]


def leaves(model):
    """Modules that a map may name: those without children, and layers."""
    names = [name for name, module in model.named_modules() if name and not any(module.children())]
    names += [name for name, _ in model.named_modules() if name.rpartition(".")[2].isdigit()]
    return [name for name in names if not any(part.isdigit() for part in name.split(".")[:-1])]


FURTHER = ("granite_swa", "lfm2_moe", "nanochat", "olmo", "phi", "xglm", "jamba", "mamba", "bloom", "falcon")


@pytest.mark.parametrize("family", [*small_models.FAMILIES, *FURTHER])
def test_modules_are_known_by_the_names_of_the_familys_own_code(family):
    known = family in small_families.FAMILIES
    config = small_families.config_of(family) if known else small_models.build(family).config
    small = small_families.build(config, device="meta")
    found, problems = block_devices(dict.fromkeys(leaves(small.model), "cpu"), small.architecture)
    assert not problems
    assert found == ("cpu",) * (len(small.architecture.layers) + 2)


layers = len(TINY.layers)
places = st.sampled_from([0, 1, "cpu", "disk"])


@given(places, st.lists(places, min_size=layers, max_size=layers), places)
def test_blocks_go_where_the_file_says_and_are_billed_there(first, each, last):
    device_map = {"model.embed_tokens": first, "model.norm": last, "lm_head": last}
    device_map |= {f"model.layers.{number}": where for number, where in enumerate(each)}
    asked = [first, *each, last]
    names = [where if isinstance(where, str) else f"gpu:{where}" for where in asked]
    if not {0, 1} & set(asked) and "disk" in asked:
        with pytest.raises(InputError, match="nothing where it can be computed"):
            plan(device_map)
        return
    found = plan(device_map)
    placed = found.roles["model"].placement
    assert [*placed.device_map.values()] == names
    assert placed.reason == "as the file's device_map says"
    weights = {}
    for item in found.bill.items:
        if item.component == "weights" and item.phase == "model load":
            weights[item.device] = weights.get(item.device, 0) + item.bytes.expected
    layer, ends = 2 * TINY.layers[0].elements, 2 * TINY.embeddings[0].elements
    expected = {}
    sizes = [ends, *[layer] * layers, ends + 2 * TINY.final[0].elements]
    for name, size in zip(names, sizes, strict=True):
        device = "host" if name == "cpu" else name
        expected[device] = expected.get(device, 0) + size
    assert weights == expected


def test_the_longer_key_decides_and_ranges_stand_for_their_layers():
    twice = {"": 1, "model.layers.0-2": 0, "model.layers.1": "cpu"}
    assert wrong(twice) == ["model.layers.1: layers.1 is placed by 'model.layers.0-2' too"]
    found, problems = block_devices({"": 1, "model": "cpu", "model.layers.0-2": 0, "lm_head": "cpu"}, TINY)
    assert not problems
    assert found == ("cpu", "gpu:0", "gpu:0", "gpu:0", *["cpu"] * (layers - 3), "cpu")


@pytest.mark.parametrize(
    ("device_map", "told"),
    [
        ({}, 'names no module; {"": 0} puts'),
        ({"": "gpu:0"}, "'gpu:0' is no device; give the number of a GPU, cpu or disk"),
        ({"": True}, "no device"),
        ({"": -1}, "no device"),
        (WHOLE | {"model.layers.99": 0}, "model.layers.99: 'model.layers.99' is no module of"),
        (WHOLE | {"transformer.h.0": 0}, "transformer.h.0: 'transformer.h.0' is no module of"),
        (WHOLE | {"model.layer": 0}, "nearest: model.layers"),
        (WHOLE | {"model.layers.0.mlp": 0}, "tears a layer apart; place model.layers.0 as a whole"),
        (WHOLE | {"lm_head": 1}, "tears norm and head apart: norm on gpu:0 and lm_head on gpu:1"),
        ({"model": 0}, "does not say where lm_head of the model goes"),
        ({"model.layers": 0, "lm_head": 0}, "does not say where embed_tokens of the model goes"),
        ({"": 0, "model.layers.3-1": 0}, "ends before it begins"),
        ({"": 0, "vision_tower.blocks.0": 0}, "tears vision_tower apart"),
    ],
)
def test_each_mistake_is_told(device_map, told):
    assert any(told in each for each in wrong(device_map)), wrong(device_map)


def test_mistakes_stand_at_their_line(tmp_path):
    lines = [
        "kind: extract",
        "roles:",
        "  model:",
        "    model: ullage:tiny",
        "    precision: nf4",
        "    max_memory: {0: 1GiB}",
        "    device_map:",
        "      model.embed_tokens: 0",
        "      model.layers.0.mlp: 0",
        "      lm_head: gpu:1",
        "      model.norm: disk",
    ]
    file = tmp_path / "work.yaml"
    file.write_text("\n".join(lines))
    with pytest.raises(SpecError) as told:
        ullage.load(file)
    said = str(told.value)
    assert f"{file}:9:" in said
    assert "work.yaml:10:16: roles.model.device_map.lm_head: 'gpu:1' is no device" in said
    assert "work.yaml:6:5: roles.model.max_memory: has no effect beside device_map" in said
    assert "work.yaml:5:16: roles.model.precision: nf4 weights wait neither" in said
    lines = [*lines[:4], *lines[6:8], "      model.layers.0-2: cpu"]
    lines += ["      model.layers.9: 1", "      lm_head: 0"]
    file.write_text("\n".join(lines))
    with pytest.raises(SpecError) as told:
        ullage.load(file)
    said = str(told.value)
    assert "work.yaml:8:7: roles.model.device_map.model.layers.9: 'model.layers.9' is no module" in said
    assert "does not say where norm of the model goes" in said
    with pytest.raises(SpecError, match=r"--set roles\.model\.device_map=.*is no module"):
        ullage.load({**WORK, "roles": {"model": "ullage:tiny"}}, ["roles.model.device_map={wte: 0, '': 1}"])


def test_a_card_that_the_set_lacks_is_refused():
    with pytest.raises(InputError, match="places modules on GPU 2, but there are only GPUs 0 to 1"):
        plan({"": 2})
    with pytest.raises(InputError, match="places modules on GPU 1, but there is only GPU 0"):
        plan({"": 1}, "A100-80GB")
    assert plan({"": 1}).roles["model"].placement.where == "gpu:1"
    assert plan({"": "0"}).roles["model"].placement.where == "gpu:0"


def test_quantized_weights_do_not_wait():
    for precision in ("int8", "nf4"):
        assert plan({"": 1}, precision=precision).roles["model"].placement.where == "gpu:1"
        with pytest.raises(SpecError, match=f"{precision} weights wait neither"):
            plan(WHOLE | {"model.layers.0": "cpu"}, precision=precision)
    with pytest.raises(SpecError, match=r"fallback_precisions\.0: int8 weights"):
        plan(WHOLE | {"model.layers.0": "disk"}, fallback_precisions=["int8"])


def test_a_checkpoint_that_is_quantized_does_not_wait_either(tmp_path):
    config = json.loads(small_models.build("llama").config.to_json_string())
    config["quantization_config"] = {"quant_method": "bitsandbytes", "load_in_4bit": True}
    (tmp_path / "config.json").write_text(json.dumps(config))
    layers = {f"model.layers.{number}": 0 for number in range(config["num_hidden_layers"])}
    device_map = {"model.embed_tokens": 0, **layers, "model.norm": 0, "lm_head": 0}
    model = str(tmp_path)
    assert plan(device_map, model=model).verdict == "fits"
    with pytest.raises(UnsupportedError, match="transformers offloads no nf4 weights"):
        plan(device_map | {"model.layers.1": "cpu"}, model=model)


@pytest.mark.parametrize("engine", [each.name for each in all_engines() if each.memory not in ("process",)])
def test_engines_that_place_models_themselves_take_no_map(engine):
    with pytest.raises(SpecError) as told:
        plan(WHOLE | {"model.layers.0": 1}, engine=engine)
    expected = "splits no model; give one device" if engine == "diffusers" else "places its model itself"
    assert expected in str(told.value)


def test_a_pipeline_goes_on_one_device():
    flux = open_model("black-forest-labs/FLUX.1-schnell")
    assert block_devices({"": 1}, flux)[0] == ("gpu:1",) * len(flux.components)
    assert "splits a pipeline" in wrong({"": 1, "vae": 0}, flux)[0]
    assert "unet: is no network of" in wrong({"": 1, "unet": 1}, flux)[0]
    assert "does not say where text_encoder, text_encoder_2, vae goes" in wrong({"transformer": 0}, flux)[0]
