"""Chunked prefill equals the single pass, and its memory does not grow with the sequence."""

import pytest
import small_models
from hypothesis import given, settings
from hypothesis import strategies as st

import ullage
from ullage.errors import InputError

SITES = ["blocks.*.hook_resid_post", "blocks.*.hook_attn_out", "blocks.1.attn.hook_z", "ln_final"]


def ids(batch, tokens):
    return [[(5 * k * k + 7 * k + n) % 90 + 3 for k in range(tokens)] for n in range(batch)]


@pytest.mark.parametrize("family", small_models.FAMILIES)
@pytest.mark.parametrize("chunk", [1, 13, 32])
@pytest.mark.long
def test_chunks_give_what_one_pass_gives(family, chunk):
    model = small_models.build(family)
    # Soft-capped scores exist in the eager kernel alone: the one pass must have them too.
    model.set_attn_implementation("eager" if family == "gemma2" else "sdpa")
    whole = ullage.Extractor(model, SITES).read(ids(2, 50))
    streamed = ullage.Extractor(model, SITES, chunk_tokens=chunk).read(ids(2, 50))
    for one, other in zip(whole, streamed, strict=True):
        for site, states in one.states.items():
            assert (states - other.states[site]).abs().max() <= 2e-5 * max(states.abs().max(), 1), site


@pytest.mark.parametrize("family", ["llama", "gemma3_text"])
def test_the_iterator_and_the_collector(family):
    model = small_models.build(family)
    extractor = ullage.Extractor(model, ["blocks.*.hook_resid_post"], chunk_tokens=16)
    chunks = list(extractor.stream(ids(2, 50)))
    assert [(chunk.begin, chunk.end) for chunk in chunks] == [(0, 16), (16, 32), (32, 48), (48, 50)]
    collected = ullage.collect(extractor.stream(ids(2, 50)))
    whole = ullage.Extractor(model, ["blocks.*.hook_resid_post"]).read(ids(2, 50))
    for site, states in collected.items():
        assert states.shape == (2, 50, 64)
        assert (states[1] - whole[1].states[site]).abs().max() < 2e-5


def test_the_model_attends_as_before_afterwards():
    model = small_models.build("llama")
    list(ullage.Extractor(model, ["blocks.0.hook_resid_post"], chunk_tokens=8).stream(ids(1, 20)))
    assert model.config._attn_implementation == "sdpa"
    stream = ullage.Extractor(model, ["blocks.0.hook_resid_post"], chunk_tokens=8).stream(ids(1, 20))
    next(stream)
    assert model.config._attn_implementation == "sdpa"


@pytest.mark.parametrize("family", ["llama", "gpt2", "gemma2"])
@pytest.mark.long
def test_activations_stay_flat_while_the_sequence_grows(family):
    from ullage.runtime.live import LiveTensors

    model = small_models.build(family, positions=1 << 15)
    extractor = ullage.Extractor(model, ["blocks.2.hook_resid_post"], positions="last", chunk_tokens=128)

    def activations(tokens):
        with LiveTensors() as live:
            live.track_model(model)
            before = live.bytes
            extractor.read(ids(1, tokens))
            return live.peak - before - cache_bytes(model, tokens)

    assert activations(4096) <= 1.2 * activations(512)


def cache_bytes(model, tokens):
    """Keys and values of the layers that attend to everything; the first three run."""
    config = model.config
    kinds = getattr(config, "layer_types", None) or ["full_attention"] * 4
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    full = sum(kind == "full_attention" for kind in kinds[:3])
    return full * 2 * heads * 16 * 4 * tokens


def test_training_does_not_stream():
    with pytest.raises(InputError, match="graph"):
        ullage.Extractor(
            small_models.build("llama"), ["blocks.0.hook_resid_post"], chunk_tokens=8, with_gradients=True
        )


@settings(max_examples=60, deadline=None)
@given(
    batch=st.integers(1, 3),
    groups=st.integers(1, 3),
    repeats=st.integers(1, 3),
    new=st.integers(1, 9),
    cached=st.integers(0, 40),
    block=st.integers(1, 17),
    softcap=st.sampled_from([None, 5.0]),
    sinks=st.booleans(),
    window=st.sampled_from([None, 4]),
    seed=st.integers(0, 1000),
)
def test_blocks_of_keys_give_softmax_attention(
    batch, groups, repeats, new, cached, block, softcap, sinks, window, seed
):
    import torch

    from ullage.capture import streaming

    torch.manual_seed(seed)
    heads, seen = groups * repeats, cached + new
    query = torch.randn(batch, heads, new, 8) * 3
    key, value = torch.randn(batch, groups, seen, 8), torch.randn(batch, groups, seen, 8)
    at = torch.arange(cached, seen)[:, None]
    allowed = torch.arange(seen) <= at
    if window is not None:
        allowed = allowed & (torch.arange(seen) > at - window)
    scores = query @ key.repeat_interleave(repeats, 1).transpose(-1, -2) * 8**-0.5
    if softcap:
        scores = softcap * torch.tanh(scores / softcap)
    scores = scores.masked_fill(~allowed, float("-inf"))
    extra = torch.randn(heads) if sinks else None
    if extra is not None:
        column = extra.reshape(1, heads, 1, 1).expand(batch, -1, new, 1)
        weights = torch.cat([scores, column], -1).softmax(-1)[..., :-1]
    else:
        weights = scores.softmax(-1)
    expected = (weights @ value.repeat_interleave(repeats, 1)).transpose(1, 2)
    mask = allowed.expand(batch, 1, new, seen) if window is not None else None
    before = streaming.block_keys
    streaming.block_keys = lambda *_: block
    try:
        found, _ = streaming.blockwise_attention(None, query, key, value, mask, softcap=softcap, s_aux=extra)
    finally:
        streaming.block_keys = before
    assert (found - expected).abs().max() < 1e-5
