"""Traces of backward passes, held against what the same passes take on this processor."""

import contextlib
import gc

import pytest
import small_models
import torch

import ullage
from ullage.capture import backward
from ullage.errors import UnsupportedError
from ullage.memory.traced import Asked
from ullage.phases.phase import Work
from ullage.runtime.live import LiveTensors
from ullage.spec.capture import Capture
from ullage.tracing.kept import summed
from ullage.tracing.passes import trace_config
from ullage.tracing.storages import Event
from ullage.tracing.trace import peak_of

SITES = ("blocks.1.hook_resid_post", "blocks.1.attn.hook_q")
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
BATCH, TOKENS = 3, 56


def config_of(family):
    return small_models.config_of(family, 3, 64, 4, 2, 97, 4096, 16)


def asked_of(family, dtype="fp32", kernel="sdpa", reentrant=True, keep="disk", **fields):
    captures = (Capture(sites=SITES, keep=keep),)
    work = Work("backward", BATCH, TOKENS, captures=captures, reentrant=reentrant, caches=False)
    return Asked(family, dtype, kernel, work, processor=True)._replace(**fields)


def trace_backward(config, asked):
    return summed(trace_config(config, asked))


def measured(family, asked):
    """Bytes that a real pass takes at most on top of the weights, and those that stay."""
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_config(
        config_of(family), dtype=DTYPES[asked.compute], attn_implementation=asked.kernel
    ).eval()
    extractor = ullage.Extractor(model, list(SITES))
    ids = [[(7 * place) % 90 + 3 for place in range(TOKENS)]] * BATCH
    gc.collect()
    with LiveTensors() as live:
        live.track_model(model)
        before = live.bytes
        live.reset_peak()
        read = extractor.backward(ids, use_reentrant=asked.work.reentrant)
        assert len(read) == BATCH
        return live.peak - before, live.bytes - before


@pytest.mark.parametrize(("dtype", "kernel", "reentrant"), [("fp32", "sdpa", True), ("bf16", "eager", False)])
@pytest.mark.parametrize(
    "family", ["llama", "mistral", "gemma2", "phi3", "gpt2", "gpt_neox", "opt", "mixtral"]
)
@pytest.mark.long
def test_a_trace_is_what_the_pass_takes(family, dtype, kernel, reentrant):
    asked = asked_of(family, dtype, kernel, reentrant)
    traced = trace_backward(config_of(family), asked)
    peak, stays = measured(family, asked)
    assert traced.live == pytest.approx(peak, rel=0.002)
    assert traced.captures == pytest.approx(stays, rel=0.002)
    assert traced.kept + traced.captures <= traced.live


def test_code_that_keeps_what_it_could_drop_is_told_from_its_trace(monkeypatch):
    asked = asked_of("llama")
    peak, _ = measured("llama", asked)
    monkeypatch.setattr(backward, "_checkpointed", lambda _layer, _reentrant: contextlib.nullcontext())
    assert trace_backward(config_of("llama"), asked).live > 1.05 * peak


def test_on_a_card_states_leave_and_its_own_kernels_run():
    config = config_of("llama")
    card = {"processor": False}
    here = trace_backward(config, asked_of("llama", "bf16"))
    there = trace_backward(config, asked_of("llama", "bf16", **card))
    assert here.captures > 100 * there.captures
    assert there.live < here.live
    half, masked = (
        trace_backward(config, asked_of("llama", **card)),
        trace_backward(config_of("mistral"), asked_of("mistral", "bf16", **card)),
    )
    assert half.live > there.live
    assert masked.live > there.live
    kept = asked_of("llama", "bf16", keep="device", **card)
    stays = trace_backward(config, kept)
    assert stays.captures == here.captures


def test_what_cannot_be_traced_is_refused_in_one_line(monkeypatch):
    from transformers.models.llama.modeling_llama import LlamaMLP

    def reads_a_value(self, x):
        return x if x.sum().item() > 0 else -x

    monkeypatch.setattr(LlamaMLP, "forward", reads_a_value)
    with pytest.raises(UnsupportedError, match="llama: what backward takes cannot be traced") as raised:
        trace_backward(config_of("llama"), asked_of("llama"))
    assert "\n" not in str(raised.value)
    said = "a value, which only a run has (aten._local_scalar_dense in model.layers.0.mlp, the forward pass)"
    assert said in str(raised.value)
    with pytest.raises(UnsupportedError, match="attention: flash: is another package's kernel"):
        trace_backward(config_of("gpt2"), asked_of("gpt2", kernel="flash"))


def test_the_fullest_moment_and_what_it_is_made_of():
    events = [
        Event(1, 50, "first"),
        Event(2, 30, "first"),
        Event(1, -50, "second"),
        Event(3, 60, "second"),
        Event(9, -1000, "second"),  # came before all that is told of
        Event(2, -30, "third"),
        Event(4, 10, "third"),
    ]
    peak = peak_of(events, results=[3])
    assert (peak.bytes, peak.stage, peak.by_stage) == (90, "second", {"first": 30})
    assert peak_of([], []).bytes == 0
