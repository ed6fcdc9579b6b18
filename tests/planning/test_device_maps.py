"""Where each role is loaded, said before anything is."""

import json

import ullage
from ullage import api
from ullage.planning.device_maps import device_maps


def test_every_role_held_here_has_its_blocks_and_neighbours_stand_together():
    plan = api.plan(
        {
            "kind": "evaluate",
            "roles": {"generator": "meta-llama/Llama-3.1-70B-Instruct", "judge": "ullage:tiny"},
            "prompt_tokens": 512,
            "new_tokens": 64,
            "examples": 10,
        },
        "2xA100-80GB",
        advice=False,
    )
    found = device_maps(plan)
    assert set(found) == set(plan.roles)
    assert set(found["judge"].values()) == {plan.roles["judge"].placement.where}
    split = found["generator"]
    first = next(name for name in split if name.startswith("layers."))
    assert first.startswith("layers.0-")
    assert len(split) == 4
    assert [split["embed_tokens"], split["norm+lm_head"]] == ["gpu:0", "gpu:1"]


def test_the_modules_of_a_role_are_named_as_its_own_code_has_them(model_folder):
    from ullage.runtime.loader import load_model, module_map

    given = {"model": str(model_folder), "max_memory": {"cpu": "1MiB", "disk": "1GiB", "0": "100KiB"}}
    work = {"prompt_tokens": 8, "new_tokens": 4, "examples": 1}
    plan = ullage.plan({"kind": "extract", "roles": {"generator": given}, **work}, "cpu", advice=False)
    role, planned = plan.workload.roles["generator"], plan.roles["generator"]
    modules = module_map(role, planned)
    assert set(modules.values()) == {"cpu", "disk"}
    loaded = load_model(role, planned)
    assert {name: device for name, device in loaded.device_map.items() if name in modules} == modules
    config = json.loads((model_folder / "config.json").read_text())
    assert sum(name.startswith("model.layers.") for name in modules) == config["num_hidden_layers"]
