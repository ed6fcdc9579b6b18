"""An adapter runs beside its base: its own states, within its plan."""

import json
import shutil

import pytest
import torch

import ullage
from ullage.errors import FormatError, MissingExtraError
from ullage.runtime.adapter import add_adapter, check_peft
from ullage.runtime.loader import load_model
from ullage.spec.role import Role

SITES = ["blocks.*.hook_resid_post", "blocks.1.attn.hook_q", "logits"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A model, a LoRA of all its linear layers, and the model with that merged into it."""
    peft = pytest.importorskip("peft", reason="peft is not installed: pip install 'ullage[peft]'")
    import small_models
    from transformers import AutoModelForCausalLM

    place = tmp_path_factory.mktemp("adapters")
    small_models.save(place / "base", "llama", hidden=32, layers=2)
    model = AutoModelForCausalLM.from_pretrained(place / "base", dtype=torch.float32)
    torch.manual_seed(1)
    lora = peft.LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False)
    adapted = peft.get_peft_model(model, lora)
    adapted.save_pretrained(place / "adapter")
    shutil.copytree(place / "base", place / "merged")
    adapted.merge_and_unload().save_pretrained(place / "merged")
    return place


@pytest.fixture(scope="module")
def runs(folders, tmp_path_factory):
    place = tmp_path_factory.mktemp("runs")
    texts = place / "texts.jsonl"
    texts.write_text(json.dumps({"id": "a", "text": "the cat ran over the red house"}) + "\n")

    def extracted(name):
        _, record = ullage.extract(
            str(folders / name), texts, SITES, place / name, precision="fp32", gpus="local"
        )
        return ullage.open_states(place / name)[0], place / name, record

    return {name: extracted(name) for name in ("base", "adapter", "merged")}


def test_states_are_those_of_the_model_it_would_be_merged_into(runs):
    base, adapter, merged = (runs[name][0] for name in ("base", "adapter", "merged"))
    for site, states in adapter.items():
        torch.testing.assert_close(states, merged[site], rtol=1e-4, atol=1e-5)
        if site != "blocks.0.attn.hook_q":
            assert not torch.allclose(states, base[site], rtol=1e-3, atol=1e-3), site


def test_its_weights_are_planned_to_the_byte_and_nothing_takes_more_than_planned(runs):
    verified = ullage.verify(runs["adapter"][1])
    weights = [each for each in verified.comparisons if each.what == "weights"]
    assert weights
    assert all(each.predicted.expected == each.measured for each in weights)
    assert verified.holds


def test_what_finds_no_place_is_refused(folders, tmp_path):
    import small_models

    small_models.save(tmp_path / "other", "llama", hidden=32, layers=1)
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(tmp_path / "other")
    with pytest.raises(FormatError, match="do not fit its base"):
        add_adapter(model, folders / "adapter", Role(model="adapter"))


def test_a_model_and_an_adapter_in_one_folder_are_not_mixed(folders, tmp_path):
    shutil.copytree(folders / "base", tmp_path / "both")
    shutil.copytree(folders / "adapter", tmp_path / "both", dirs_exist_ok=True)
    plan = ullage.estimate_model(str(tmp_path / "both"), "local", precision="fp32")
    with pytest.raises(FormatError, match="a model and an adapter"):
        load_model(plan.workload.roles["model"], plan.roles["model"])


def test_without_peft_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setattr("ullage.runtime.adapter.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"ullage\[peft\]"):
        check_peft(Role(model="owner/adapter"))
