"""A mapping says what a file says, and its mistakes are told by the path of their keys."""

import json
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

import ullage
from ullage import api
from ullage.errors import SpecError
from ullage.spec.installed import OWN, usual_settings
from ullage.spec.role import Role
from ullage.spec.role_fields import RoleFields

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.yaml"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_an_examples_data_is_the_same_workload(path):
    assert ullage.load(yaml.safe_load(path.read_text())) == ullage.load(path)


def test_a_plan_takes_a_path_a_mapping_or_a_workload(tmp_path):
    data = {"kind": "extract", "roles": {"model": "ullage:tiny"}, "captures": [{"sites": ["hook_embed"]}]}
    (tmp_path / "w.yaml").write_text(json.dumps(data))
    plans = [
        ullage.plan(given, "1xL4", advice=False)
        for given in (tmp_path / "w.yaml", str(tmp_path / "w.yaml"), data, ullage.load(data))
    ]
    assert all(plan == plans[0] for plan in plans)


def test_paths_in_a_file_are_relative_to_its_folder(tmp_path, model_folder):
    (tmp_path / "models").symlink_to(model_folder.parent)
    data = {"kind": "extract", "roles": {"model": f"models/{model_folder.name}"}}
    (tmp_path / "w.yaml").write_text(json.dumps(data | {"captures": [{"sites": ["hook_embed"]}]}))
    assert ullage.plan(tmp_path / "w.yaml", "1xL4", advice=False).verdict == "fits"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"batc": 3}, "batc: unknown key; nearest: batch"),
        ({"batch": "many"}, "batch: 'many' is not a whole number"),
        ({"roles": {"model": {"precison": "nf4"}}}, "roles.model.precison: unknown key; nearest: precision"),
        ({"captures": [{"sites": {1, 2}}]}, "captures.0.sites: {1, 2} is a set; a workload holds text"),
        ({"batch": float("nan")}, "batch: nan: a number must be finite"),
        ({"batch": 2**70}, "batch: 0x400000000000000000: the number is too large"),
        ({(1, 2): 3}, "the key (1, 2) must be a word"),
        ({"kind": "extrct"}, "kind: 'extrct' is not a kind of workload; nearest: extract"),
    ],
)
def test_mistakes_name_the_path_of_keys(change, said):
    data = {"kind": "extract", "roles": {"model": {"model": "ullage:tiny"}}} | change
    with pytest.raises(SpecError) as caught:
        ullage.load(data)
    assert any(line.startswith(said) for line in caught.value.mistakes), caught.value.mistakes


def test_overrides_and_paths_are_taken(tmp_path):
    data = {"kind": "extract", "roles": {"model": {"model": Path("ullage:tiny")}}}
    loaded = ullage.load(data | {"captures": ({"sites": ("hook_embed",)},)}, ["batch=7"])
    assert (loaded.batch, loaded.roles["model"].model) == (7, "ullage:tiny")
    with pytest.raises(SpecError, match=r"--set bat=7: bat: unknown key"):
        ullage.load(data, ["bat=7"])


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.binary(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(["kind", "roles", "batch", "captures", "extract", "x"]), values))
def test_any_mapping_gives_a_workload_or_mistakes(data):
    try:
        ullage.load(data)
    except SpecError as error:
        assert error.mistakes


def test_a_mapping_that_holds_itself_has_an_end():
    data = {"kind": "extract"}
    data["roles"] = data
    with pytest.raises(SpecError, match="nested deeper"):
        ullage.load(data)


def test_fields_of_a_role_are_arguments_and_are_told_as_a_file_tells_them():
    own = {name for name in OWN if usual_settings(name).model_fields}
    assert set(RoleFields.__annotations__) == own | {
        *(name for name in Role.model_fields if name not in ("model", "labels")),
        *("use_quantized", "quantization_bits", "quantization"),
    }
    with pytest.raises(SpecError, match=r"^precison: unknown key; nearest: precision$"):
        ullage.estimate_model("ullage:tiny", precison="nf4")
    with pytest.raises(SpecError, match=r"^precision: 'nf5' is not valid; nearest: nf4"):
        ullage.estimate_model("ullage:tiny", precision="nf5")
    with pytest.raises(SpecError, match=r"^vllm\.blck_size: unknown key; nearest: block_size$"):
        ullage.estimate_model("ullage:tiny", vllm={"blck_size": 3})
    with pytest.raises(SpecError, match=r"^optimizer: 'adam' is not valid; nearest: adamw"):
        ullage.estimate_model("ullage:tiny", train="adam")
    assert api.bare_workload("m", quantization="4bit").roles["model"].precision == "nf4"
