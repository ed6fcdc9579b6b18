"""A family's sites are proven on a small model of its own config; a hook that is wrong breaks the proof."""

import json
import warnings

import pytest
import torch
import transformers

import ullage
from ullage.capture.identities import Broken
from ullage.capture.proof import prove
from ullage.capture.taps import Tap, tap_at
from ullage.errors import SpecError, UnsupportedError
from ullage.facts.families.places import Place
from ullage.runtime.shrunk import ORIGINAL, TOKENS, WINDOW, build_small, shrink

SMALL = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 97}


def falcon(**more):
    return transformers.FalconConfig(**SMALL, **more)


def granite(**more):
    return transformers.GraniteConfig(**SMALL, intermediate_size=96, num_key_value_heads=2, **more)


CONFIGS = {
    "falcon-7b": falcon(multi_query=True, parallel_attn=True),
    "falcon-40b": falcon(new_decoder_architecture=True, num_kv_heads=2),
    "falcon-rw": falcon(multi_query=False, parallel_attn=False, alibi=True, bias=True),
    "granite": granite(residual_multiplier=0.22, attention_multiplier=0.1, embedding_multiplier=3.0),
    "bloom": transformers.BloomConfig(),
    "gptj": transformers.GPTJConfig(),
    "codegen": transformers.CodeGenConfig(),
    "cohere2": transformers.Cohere2Config(),
    "gemma3": transformers.Gemma3TextConfig(),
    "deepseek_v3": transformers.DeepseekV3Config(),
    "gpt_oss": transformers.GptOssConfig(),
    "mamba": transformers.MambaConfig(),
    "glm4": transformers.Glm4Config(),
}


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.long
def test_every_site_that_the_blocks_define_holds(name):
    proof = prove(CONFIGS[name])
    assert proof.broken() == {}
    assert proof.whole
    assert proof.states
    assert {"hook_resid_pre", "hook_attn_out", "hook_resid_post", "ln_final", "logits"} <= set(held(proof))


def held(proof):
    from ullage.capture.sites import held_in

    return held_in(proof.places)


def test_a_parallel_block_has_no_middle_and_one_without_attention_no_heads():
    assert "hook_resid_mid" not in held(prove(CONFIGS["gptj"]))
    assert not [hook for hook in held(prove(CONFIGS["mamba"])) if hook.startswith("attn.")]


def wrong(hook, change):
    """`tap_at`, with what it takes for `hook` changed."""

    def find(place, asked, block, config):
        tap = tap_at(place, asked, block, config)
        if tap is None or asked != hook:
            return tap
        return Tap(tap.module, tap.when, lambda seen: change(tap.take(seen)))

    return find


def swapped(tensor):
    return tensor[..., [1, 0, *range(2, tensor.shape[-2])], :]


def next_block(hook):
    """`tap_at`, with `hook` read in the block after: off by one layer."""
    before = {}

    def find(place, asked, block, config):
        blocks = before.setdefault("blocks", [])
        if block not in blocks:
            blocks.append(block)
        if asked != hook:
            return tap_at(place, asked, block, config)
        at = blocks.index(block)
        return tap_at(place, asked, blocks[max(at - 1, 0)], config)

    return find


@pytest.mark.long
@pytest.mark.parametrize("name", ["falcon-40b", "gemma3"])
@pytest.mark.parametrize("hook", ["q", "k", "v", "z"])
def test_swapped_heads_break_their_identity(name, hook):
    site = f"attn.hook_{hook}"
    broken = prove(CONFIGS[name], find=wrong(site, swapped)).broken()
    assert set(broken) == {site}
    assert broken[site].error > 1e-4


def test_swapped_heads_of_patterns_break_it():
    turned = wrong("attn.hook_pattern", lambda pattern: pattern[:, [1, 0, 2, 3]])
    assert "pattern" in str(prove(CONFIGS["granite"], find=turned).broken()["attn.hook_pattern"])


@pytest.mark.parametrize("hook", ["hook_attn_out", "hook_mlp_out"])
def test_a_missing_multiplier_breaks_the_sum(hook):
    def find(place, asked, block, config):
        return None if place.scale and asked == hook else tap_at(place, asked, block, config)

    broken = prove(CONFIGS["granite"], find=find).broken()
    assert hook in broken
    assert "resid_mid" in broken[hook].identity
    assert 1e-3 < broken[hook].error < 10


@pytest.mark.long
@pytest.mark.parametrize(
    "hook", ["hook_resid_pre", "hook_resid_post", "hook_resid_mid", "hook_attn_out", "hook_mlp_out"]
)
def test_one_layer_off_breaks_the_proof(hook):
    assert hook not in held(prove(transformers.LlamaConfig(), find=next_block(hook)))


@pytest.mark.long
@pytest.mark.parametrize("hook", ["q", "k", "v", "z", "pattern"])
def test_heads_of_the_layer_before_break_their_identity(hook):
    site = f"attn.hook_{hook}"
    assert site in prove(transformers.LlamaConfig(), find=next_block(site)).broken()


def test_what_a_batch_changes_is_refused():
    calls = []

    def leaking(tensor):
        calls.append(1)
        return tensor + tensor.mean(0, keepdim=True) * (tensor.shape[1] != TOKENS or tensor.shape[0] == 1)

    broken = prove(transformers.LlamaConfig(), find=wrong("hook_resid_post", leaking)).broken()
    assert broken["hook_resid_post"].identity == "alone = in a batch"


def test_norms_in_the_stream_are_refused_by_the_identity_that_breaks():
    model = build_small(transformers.BartConfig())
    with pytest.raises(UnsupportedError, match=r"resid_mid \+ mlp_out = resid_post does not hold") as caught:
        ullage.Extractor(model, ["blocks.*.hook_mlp_out"])
    assert "What holds: hook_resid_pre" in str(caught.value)
    assert ullage.Extractor(model, ["blocks.*.hook_resid_post"]).read([[5, 6, 7]])


@pytest.mark.parametrize("config", [transformers.DeepseekV4Config(), transformers.Gemma3nTextConfig()])
def test_several_residual_streams_are_refused(config):
    with pytest.raises(UnsupportedError, match="several residual streams"):
        prove(config)


def test_what_transformers_cannot_build_is_refused_in_its_words():
    with pytest.raises(UnsupportedError, match=r"no small model of it can be made: .*vocab_size"):
        prove(transformers.Gemma4AssistantConfig())


def test_a_small_model_keeps_the_features_of_its_config():
    full = transformers.Gemma2Config(attn_logit_softcapping=11.0, query_pre_attn_scalar=100)
    small = shrink(full)
    assert (small.attn_logit_softcapping, small.hidden_activation) == (11.0, full.hidden_activation)
    assert set(small.layer_types) == set(full.layer_types)
    assert small.sliding_window == WINDOW < TOKENS
    rope = {
        "rope_type": "yarn",
        "rope_theta": 5e5,
        "factor": 4.0,
        "original_max_position_embeddings": 4096,
    }
    scaled = shrink(transformers.LlamaConfig(rope_parameters=rope, num_key_value_heads=8))
    assert scaled.rope_parameters["rope_type"] == "yarn"
    assert scaled.rope_parameters["original_max_position_embeddings"] == ORIGINAL < TOKENS
    assert scaled.num_key_value_heads == 2


def test_building_leaves_the_chance_of_others_alone():
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    build_small(transformers.LlamaConfig())
    assert torch.equal(torch.rand(2), expected)


@pytest.fixture
def fresh(monkeypatch):
    """As a new process: nothing is known from before."""
    from ullage.capture import proofs

    for name in ("_known", "_of_models", "_warned"):
        getattr(proofs, name).clear()
    return proofs


def proof_again(proofs):
    proofs._known.clear()
    said = []
    found = proofs.known_proof(transformers.LlamaConfig(), None, said.append)
    return found, said


def test_a_proof_is_made_once_and_shown(fresh, own_home, monkeypatch, tmp_path):
    monkeypatch.setenv("ULLAGE_HOME", str(tmp_path))
    first, said = proof_again(fresh)
    assert "sites proven on a small model" in said[0]
    second, said = proof_again(fresh)
    assert (second, said) == (first, [])


@pytest.mark.parametrize("text", ["", "{", "[]", '{"family": 1}', json.dumps({"blocks": {"a": {"b": [1]}}})])
@pytest.mark.long
def test_a_damaged_proof_is_made_anew(fresh, monkeypatch, tmp_path, text):
    monkeypatch.setenv("ULLAGE_HOME", str(tmp_path))
    first, _ = proof_again(fresh)
    (file,) = (tmp_path / "proofs").iterdir()
    file.write_text(text)
    second, said = proof_again(fresh)
    assert said
    assert second.places == first.places


def test_a_home_that_cannot_be_written_costs_one_warning(fresh, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ULLAGE_HOME", str(tmp_path / "file"))
    with pytest.warns(UserWarning, match="cannot be kept"):
        proof_again(fresh)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert proof_again(fresh)[0].whole


def test_a_proof_is_kept_whole(fresh):
    proof = prove(transformers.BartConfig())
    written = json.loads(json.dumps(fresh.to_json(proof)))
    assert fresh.from_json(written) == proof
    assert any(isinstance(each, Broken) for each in proof.broken().values())
    assert all(isinstance(each, Place | Broken) for b in proof.places.blocks.values() for each in b.values())


def test_a_site_that_nothing_defines_lists_what_there_is():
    with pytest.raises(SpecError, match="hook_resid_post"):
        ullage.Extractor(build_small(transformers.MambaConfig()), ["blocks.*.attn.hook_q"])
