"""A rope scaling that a role asks for is one that a config.json could have said."""

import json
import shutil

import pytest
import torch

import ullage
from ullage.errors import SpecError, UnsupportedError
from ullage.facts.model import open_model
from ullage.facts.rope import KINDS, parse_rope, stretched
from ullage.runtime.loader import load_model
from ullage.runtime.rope_scaling import overrides
from ullage.spec.role import Role

ORIGINAL = 64
BY_HAND = {
    "yarn:4": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64},
    "linear:2": {"rope_type": "linear", "factor": 2.0},
    "dynamic:2": {"rope_type": "dynamic", "factor": 2.0},
    "llama3:8": {
        "rope_type": "llama3",
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 64,
    },
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """By scaling, and by "" for none, a model whose config.json says it."""
    import small_models

    place = tmp_path_factory.mktemp("ropes")
    small_models.save(place / "plain", "llama", hidden=32, layers=2, positions=ORIGINAL)
    found = {"": place / "plain"}
    for text, rope in BY_HAND.items():
        found[text] = place / text.replace(":", "-")
        shutil.copytree(place / "plain", found[text])
        config = json.loads((found[text] / "config.json").read_text())
        config["rope_parameters"] |= rope
        if not text.startswith("dynamic"):
            config["max_position_embeddings"] = int(ORIGINAL * rope["factor"])
        (found[text] / "config.json").write_text(json.dumps(config))
    return found


@pytest.fixture(scope="module")
def states(folders):
    """The last layer's states of 60 tokens, of a model as it is or with a scaling asked for."""

    def of(folder, rope):
        model = str(folders[folder])
        plan = ullage.estimate_model(model, "local", prompt_tokens=60, precision="fp32", rope=rope)
        loaded = load_model(plan.workload.roles["model"], plan.roles["model"])
        ids = torch.tensor([[1 + at % 60 for at in range(60)]])
        with torch.no_grad():
            return loaded.model(ids, output_hidden_states=True).hidden_states[-1]

    return of


@pytest.mark.parametrize("rope", BY_HAND)
def test_asking_is_as_good_as_writing_it_into_the_config(states, rope):
    asked = states("", rope)
    assert torch.equal(asked, states(rope, None))
    assert torch.equal(asked, states("", None)) == rope.startswith("dynamic"), (
        "which changes longer texts alone"
    )


def test_a_text_beyond_the_positions_needs_a_scaling_and_is_told_so(folders, tmp_path):
    texts = tmp_path / "texts.jsonl"
    texts.write_text(json.dumps({"id": "a", "tokens": [1 + at % 60 for at in range(100)]}) + "\n")
    asked = (str(folders[""]), texts, ["blocks.1.hook_resid_post"], tmp_path / "out")
    with pytest.raises(ullage.InputError, match="rope: yarn:2"):
        ullage.extract(*asked)
    ullage.extract(*asked, rope="dynamic:2")
    (states,) = ullage.open_states(tmp_path / "out")[0].values()
    assert states.shape == (100, 32)
    assert torch.isfinite(states.float()).all()


def test_a_plan_has_as_many_positions_as_are_asked_for(folders):
    model = str(folders[""])
    with pytest.raises(SpecError, match=r"has a window of 64.* rope: yarn:4"):
        ullage.estimate_model(model, "T4", prompt_tokens=200, new_tokens=8)
    found = ullage.estimate_model(model, "T4", prompt_tokens=200, new_tokens=8, rope="yarn:4")
    assert found.verdict == "fits"
    assert found.workload.roles["model"].rope == "yarn:4"
    with pytest.raises(SpecError, match="has a window of 256"):
        ullage.estimate_model(model, "T4", prompt_tokens=256, new_tokens=8, rope="yarn:4")
    trained_on_less = ullage.estimate_model(model, "T4", prompt_tokens=100, rope="yarn:4:32")
    assert trained_on_less.verdict == "fits"


@pytest.mark.parametrize(
    ("model", "rope", "said"),
    [
        ("gpt2", "yarn:4", "no rotary positions of type 'gpt2'"),
        ("ullage:tiny", "longrope:4", "those are dynamic, linear, llama3, yarn"),
        ("ullage:tiny", "yarn", "KIND:FACTOR"),
        ("ullage:tiny", "yarn:0.5", "from 1 to 1024"),
        ("black-forest-labs/FLUX.1-schnell", "yarn:2", "diffusion"),
    ],
)
def test_what_cannot_be_stretched_is_refused_by_name(model, rope, said):
    with pytest.raises((SpecError, UnsupportedError), match=said):
        ullage.estimate_model(model, "A100-80GB", prompt_tokens=16, rope=rope)


def test_a_model_with_a_scaling_of_its_own_keeps_it(folders):
    with pytest.raises(UnsupportedError, match="its own positions are yarn"):
        ullage.estimate_model(str(folders["yarn:4"]), "T4", prompt_tokens=16, rope="linear:2")


@pytest.mark.parametrize("kind", KINDS)
def test_rotary_tables_of_an_engine_grow_with_the_positions(folders, kind):
    plain = open_model(str(folders[""]))
    longer = stretched(plain, f"{kind}:4")
    assert (longer.max_positions, longer.rotary_positions) == (256, 256)
    assert plain.rotary_positions == 64
    assert parse_rope(f"{kind}:1.5:40").original == 40


def test_vllm_is_told_what_transformers_is(folders):
    def told(rope):
        role = Role(model="m", engine="vllm", rope=rope)
        return overrides(folders[""], role)

    yarn = told("yarn:4")
    assert yarn["max_position_embeddings"] == 64, "vLLM multiplies by the factor itself"
    assert yarn["rope_parameters"] | BY_HAND["yarn:4"] == yarn["rope_parameters"]
    assert yarn["rope_parameters"]["rope_theta"] > 0
    assert told("llama3:8")["max_position_embeddings"] == 512
