"""Sites of real models of every family, held against transformers' own outputs."""

import pytest
import small_models

import ullage
from ullage.errors import SpecError

IDS = [[5, 9, 33, 71, 8, 44, 21, 90, 12, 13, 14, 60], [7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18]]


def states_of(model, sites, ids=IDS):
    import torch

    read = ullage.Extractor(model, sites).read(ids)
    return {name: torch.stack([each.states[name] for each in read]) for name in read[0].states}


def outputs_of(model):
    import torch

    with torch.inference_mode():
        return model(torch.tensor(IDS), output_hidden_states=True, output_attentions=True)


@pytest.mark.parametrize("family", small_models.FAMILIES)
def test_states_are_transformers_own_to_the_bit(family):
    model = small_models.build(family)
    states = states_of(model, ["blocks.*.hook_resid_*", "ln_final", "hook_embed"])
    hidden = outputs_of(model).hidden_states
    for layer in range(4):
        assert (states[f"blocks.{layer}.hook_resid_pre"] - hidden[layer]).abs().max() == 0
    for layer in range(3):
        assert (states[f"blocks.{layer}.hook_resid_post"] - hidden[layer + 1]).abs().max() == 0
    assert (states["ln_final"] - hidden[4]).abs().max() == 0


@pytest.mark.parametrize("family", small_models.FAMILIES)
def test_what_parts_add_makes_up_the_stream(family):
    states = states_of(small_models.build(family), ["blocks.*.hook_*"])
    for layer in range(4):
        at = {
            hook: states.get(f"blocks.{layer}.hook_{hook}")
            for hook in ("resid_pre", "attn_out", "resid_mid", "mlp_out", "resid_post")
        }
        whole = at["resid_pre"] + at["attn_out"] + at["mlp_out"]
        assert (whole - at["resid_post"]).abs().max() < 1e-6
        assert (at["resid_mid"] is None) == (family in small_models.PARALLEL)
        if at["resid_mid"] is not None:
            assert (at["resid_pre"] + at["attn_out"] - at["resid_mid"]).abs().max() < 1e-6


@pytest.mark.parametrize("family", small_models.FAMILIES)
def test_heads_and_patterns_have_the_shapes_their_names_promise(family):
    model = small_models.build(family)
    model.set_attn_implementation("eager")
    states = states_of(model, ["blocks.1.attn.*"])
    groups = 2 if family not in ("gpt2", "gpt_neox", "gpt_neox_sequential", "opt") else 4
    assert states["blocks.1.attn.hook_q"].shape == (2, 12, 4, 16)
    assert states["blocks.1.attn.hook_k"].shape == (2, 12, groups, 16)
    assert states["blocks.1.attn.hook_v"].shape == (2, 12, groups, 16)
    assert states["blocks.1.attn.hook_z"].shape == (2, 12, 4, 16)
    pattern = states["blocks.1.attn.hook_pattern"]
    assert (pattern - outputs_of(model).attentions[1]).abs().max() == 0
    # z is the pattern's mean of the values: the definitions fit together.
    values = states["blocks.1.attn.hook_v"].repeat_interleave(4 // groups, dim=2)
    mixed = (pattern @ values.transpose(1, 2)).transpose(1, 2)
    assert (mixed - states["blocks.1.attn.hook_z"]).abs().max() < 1e-6


def test_globs_and_negative_layers():
    model = small_models.build("llama")
    assert ullage.Extractor(model, ["blocks.-1.hook_resid_post"]).sites == ("blocks.3.hook_resid_post",)
    assert len(ullage.Extractor(model, ["blocks.*.hook_mlp_out"]).sites) == 4
    assert ullage.Extractor(model, ["blocks.[01].attn.hook_q", "blocks.2.*_z"]).sites == (
        "blocks.0.attn.hook_q",
        "blocks.1.attn.hook_q",
        "blocks.2.attn.hook_z",
    )


@pytest.mark.parametrize("site", ["blocks.9.hook_resid_post", "blocks.0.hook_nothing", "hook_resid_post", ""])
def test_a_site_that_is_not_there_is_an_error_that_lists_those_that_are(site):
    with pytest.raises(SpecError, match="hook_resid_post"):
        ullage.Extractor(small_models.build("llama"), [site])


def test_a_parallel_block_has_no_middle():
    with pytest.raises(SpecError, match="matches nothing") as caught:
        ullage.Extractor(small_models.build("gpt_neox"), ["blocks.*.hook_resid_mid"])
    assert "hook_resid_mid" not in str(caught.value).split("It has")[1]


def test_patterns_need_the_eager_kernel():
    with pytest.raises(ullage.errors.InputError, match="eager"):
        ullage.Extractor(small_models.build("llama"), ["blocks.0.attn.hook_pattern"])


def test_sites_of_lists_what_can_be_read():
    model = small_models.build("opt")
    sites = ullage.sites_of(model)
    assert sites[0] == "hook_embed"
    assert "blocks.3.attn.hook_z" in sites
    model.set_attn_implementation("eager")
    assert ullage.Extractor(model, sites).sites


def test_no_hook_is_left_behind_even_after_an_error():
    model = small_models.build("gpt2", positions=64)
    extractor = ullage.Extractor(model, ["blocks.*.hook_resid_post"])
    with pytest.raises(IndexError):
        extractor.read([[1] * 65])
    extractor.read([[1, 2]])
    hooks = [m for m in model.modules() if m._forward_hooks or m._forward_pre_hooks]
    assert hooks == []


def test_layers_after_the_last_site_do_not_run():
    model = small_models.build("llama")
    ran = []
    for index, layer in enumerate(model.model.layers):
        layer.register_forward_hook(lambda *_, index=index: ran.append(index))
    ullage.Extractor(model, ["blocks.1.hook_resid_post"]).read([[1, 2, 3]])
    assert ran in ([0, 1], [0])
