"""A text gives the same states alone, in a batch, in chunks and while it is written."""

import pytest
import small_models
import torch
import transformers

import ullage
from ullage.errors import UnsupportedError

LONG = [[(7 * k * k + 3 * k) % 90 + 4 for k in range(60)], [(5 * k * k + k) % 90 + 4 for k in range(60)]]
SHORT = [5, 9, 11, 40, 23, 17]
SIZES = {
    "vocab_size": 97,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}


def near(one, other):
    return one.shape == other.shape and (one - other).abs().max() <= 1e-5 * max(float(other.abs().max()), 1.0)


def scaled(kind):
    rope = {"rope_type": kind, "rope_theta": 1e4, "factor": 4.0}
    if kind == "longrope":
        rope |= {"short_factor": [1.0] * 8, "long_factor": [float(k + 1) for k in range(8)]}
        rope |= {"original_max_position_embeddings": 32}
    config = transformers.LlamaConfig(
        **SIZES, max_position_embeddings=32 if kind == "dynamic" else 128, rope_parameters=rope
    )
    torch.manual_seed(0)
    model = transformers.LlamaForCausalLM(config).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return model


def plain(model, ids):
    """transformers' own states, of a model that has seen nothing before."""
    import copy

    with torch.no_grad():
        return copy.deepcopy(model).model(torch.tensor([ids]), output_hidden_states=True).hidden_states[1][0]


@pytest.mark.long
@pytest.mark.parametrize("kind", ["longrope", "dynamic"])
@pytest.mark.parametrize("chunk", [None, 7])
def test_frequencies_are_those_of_a_text_whatever_it_is_read_with(kind, chunk):
    model = scaled(kind)
    extractor = ullage.Extractor(model, ["blocks.0.hook_resid_post"], chunk_tokens=chunk)
    texts = [LONG[0], SHORT, LONG[1][:40], LONG[1]]
    for text, read in zip(texts, extractor.read(texts), strict=True):
        assert near(read.states["blocks.0.hook_resid_post"], plain(scaled(kind), text))
        assert list(read.tokens) == text


@pytest.mark.parametrize("kind", ["longrope", "dynamic"])
def test_what_is_written_has_the_states_it_has_alone(kind):
    model = scaled(kind)
    extractor = ullage.Extractor(model, ["blocks.0.hook_resid_post"])
    prompts = [SHORT, SHORT[:3], LONG[0][:50]] if kind == "longrope" else [SHORT, SHORT[:3]]
    for read in extractor.generate(prompts, 4):
        states = read.states["blocks.0.hook_resid_post"]
        assert near(states, plain(scaled(kind), list(read.tokens))[: len(states)])
    with pytest.raises(UnsupportedError, match="rope changes all positions"):
        extractor.generate([LONG[0][:30]], 4)


@pytest.mark.long
@pytest.mark.parametrize("family", ["gpt2", "opt", "llama"])
@pytest.mark.parametrize("site", ["hook_embed", "blocks.0.hook_resid_pre", "blocks.0.attn.hook_q"])
def test_positions_go_on_in_chunks_though_the_pass_ends_before_attention(family, site):
    model = small_models.build(family)
    (whole,) = ullage.Extractor(model, [site]).read(LONG[:1])
    (chunks,) = ullage.Extractor(model, [site], chunk_tokens=13).read(LONG[:1])
    assert near(chunks.states[site], whole.states[site])


@pytest.mark.parametrize("site", ["blocks.1.hook_mlp_out", "blocks.1.hook_resid_mid"])
def test_one_token_has_one_state_a_text(site):
    extractor = ullage.Extractor(small_models.build("opt"), [site])
    (alone,) = extractor.read([SHORT[:1]])
    one, two = extractor.read([SHORT[:1], SHORT[1:2]])
    assert alone.states[site].shape == (1, 64)
    assert near(one.states[site], alone.states[site])
    assert not near(two.states[site], alone.states[site])


@pytest.mark.long
@pytest.mark.parametrize("family", ["gemma3_text", "mistral", "gemma2"])
def test_patterns_of_windows_have_absolute_keys_however_they_are_read(family):
    model = small_models.build(family, window=8)
    model.set_attn_implementation("eager")
    sites = ["blocks.*.attn.hook_pattern"]
    with torch.no_grad():
        true = model(torch.tensor(LONG), output_attentions=True).attentions
    for chunk in (None, 3, 8, 25):
        read = ullage.Extractor(model, sites, chunk_tokens=chunk).read(LONG)
        for row, each in enumerate(read):
            assert all(near(each.states[f"blocks.{k}.attn.hook_pattern"], true[k][row]) for k in range(4))
    streamed = ullage.collect(ullage.Extractor(model, sites, chunk_tokens=7).stream(LONG))
    assert all(near(streamed[f"blocks.{k}.attn.hook_pattern"], true[k]) for k in range(4))
    for chunk in (None, 5):
        written = ullage.Extractor(model, sites, chunk_tokens=chunk).generate([LONG[0][:30], SHORT], 12)
        for each in written:
            (again,) = ullage.Extractor(model, sites).read([each.tokens[:-1]])
            for site, pattern in each.states.items():
                assert near(pattern, again.states[site]), site


def test_streamed_logits_are_logits():
    model = small_models.build("gemma2")
    model.set_attn_implementation("eager")
    streamed = ullage.collect(ullage.Extractor(model, ["logits"], chunk_tokens=16).stream(LONG))
    with torch.no_grad():
        assert near(streamed["logits"], model(torch.tensor(LONG)).logits)


@pytest.mark.parametrize("family", ["llama", "gemma2", "gpt2"])
def test_normalized_is_the_final_norm_without_its_gain(family):
    model = small_models.build(family)
    norm = model.transformer.ln_f if family == "gpt2" else model.model.norm
    torch.nn.init.uniform_(norm.weight, 0.5, 2.0)
    site = "ln_final.hook_normalized"
    (read,) = ullage.Extractor(model, [site, "ln_final"]).read(LONG[:1])
    gain = norm.weight + (family == "gemma2")
    made = read.states[site] * gain.detach() + (norm.bias.detach() if family == "gpt2" else 0.0)
    assert near(made, read.states["ln_final"])
    # 1 but for the norm's epsilon, beside states that an untrained model keeps small
    assert abs(float(read.states[site].square().mean()) - 1) < 0.05


def test_states_that_a_block_writes_over_are_read_before():
    config = transformers.FalconConfig(
        **{k: v for k, v in SIZES.items() if k not in ("intermediate_size", "num_key_value_heads")}
    )
    model = transformers.FalconForCausalLM(config).eval()
    (read,) = ullage.Extractor(model, ["blocks.*.hook_*"]).read([SHORT])
    for k in range(3):
        at = {name: read.states[f"blocks.{k}.hook_{name}"] for name in ("resid_pre", "attn_out", "mlp_out")}
        assert near(sum(at.values()), read.states[f"blocks.{k}.hook_resid_post"])


@pytest.mark.parametrize("new", [False, True])
def test_falcons_queries_keys_and_values_are_its_own(new):
    more = {"new_decoder_architecture": True, "num_kv_heads": 2} if new else {"multi_query": True}
    sizes = {k: v for k, v in SIZES.items() if k not in ("intermediate_size", "num_key_value_heads")}
    torch.manual_seed(1)
    model = transformers.FalconForCausalLM(transformers.FalconConfig(**sizes, **more)).eval()
    attention = model.transformer.h[1].self_attention
    seen = []
    attention.query_key_value.register_forward_hook(lambda _m, _a, out: seen.append(out))
    (read,) = ullage.Extractor(model, ["blocks.1.attn.hook_[qkv]"]).read([LONG[0]])
    for letter, true in zip("qkv", attention._split_heads(seen[-1]), strict=True):
        own = read.states[f"blocks.1.attn.hook_{letter}"]
        own = own.repeat_interleave(true.shape[2] // own.shape[1], dim=1)
        assert near(own, true[0])
