"""Traces of every activity: held against runs on this processor, and few layers against all of them."""

import gc
import math

import pytest
import small_families
import small_models
import torch
import tracing_runs
import training_steps

from ullage.errors import UnsupportedError
from ullage.memory.traced import Asked
from ullage.phases.phase import Work
from ullage.runtime.live import LiveTensors
from ullage.spec.capture import Capture
from ullage.spec.training import Lora, Training
from ullage.tracing import passes, storages
from ullage.tracing.kernels import split_bytes
from ullage.tracing.passes import trace_config

CARD = {"processor": False}
BATCH, TOKENS, HIDDEN, HEADS, WIDE = 4, 512, 256, 8, 1024


def llama(layers=2, **fields):
    from transformers import LlamaConfig

    return LlamaConfig(
        hidden_size=HIDDEN,
        intermediate_size=WIDE,
        num_hidden_layers=layers,
        num_attention_heads=HEADS,
        num_key_value_heads=HEADS // 4,
        vocab_size=1000,
        **fields,
    )


def asked(dtype="bf16", kernel="sdpa", activity="prefill", new=3, **fields):
    made = {"processor": True, "work": Work(activity, BATCH, TOKENS, new), **fields}
    return Asked("small", dtype, kernel, **made)


def peak(config, *args, **fields):
    return trace_config(config, asked(*args, **fields)).peak().bytes


@pytest.mark.parametrize("name", tracing_runs.TURNS)
@pytest.mark.parametrize("family", ["llama", "gemma2", "bloom", "jamba", "deepseek_v2"])
@pytest.mark.long
def test_a_trace_is_what_the_pass_takes(family, name):
    work = tracing_runs.WORKS[name].but(batch=tracing_runs.BATCHES["fp32"])
    found = tracing_runs.row(family, name, work, "fp32")
    assert abs(found["error"]) < 0.002, found
    assert sum(found["components"].values()) == found["traced"]


def test_states_that_are_kept_are_traced_with_the_pass_they_are_of():
    kept = (Capture(sites=("blocks.*.hook_resid_post",), keep="disk"),)
    work = tracing_runs.WORKS["prefill"].but(batch=16, captures=kept)
    found = tracing_runs.row("llama", "captured prefill", work, "fp32")
    assert abs(found["error"]) < 0.002, found
    config = small_families.config_of("llama")
    here, there = (trace_config(config, Asked("llama", "fp32", "sdpa", work, each)) for each in (True, False))
    rows = 16 * tracing_runs.TOKENS - 1  # the last text is a token shorter
    assert sum(here.results.values()) == rows * config.num_hidden_layers * config.hidden_size * 4
    assert not there.results


def repeated(family, layers=18):
    """A config of many layers: kinds in the order that the family has, over and over."""
    config = small_families.config_of(family)
    body = config.to_dict() | {"num_hidden_layers": layers}
    for name, value in body.items():
        if name.endswith("layer_types") and value:
            kinds = (["sliding_attention"] * 5 + ["full_attention"]) if family == "gemma3_text" else value
            body[name] = [kinds[place % len(kinds)] for place in range(layers)]
    return type(config).from_dict(body)


@pytest.mark.parametrize("activity", ["prefill", "decode"])
@pytest.mark.parametrize(
    "family", ["llama", "gpt_neox", "gemma2", "gemma3_text", "mixtral", "qwen3_next", "lfm2", "phi3"]
)
@pytest.mark.long
def test_few_layers_say_what_all_of_them_do(family, activity):
    config, what = repeated(family), asked(work=Work(activity, 3, 40, 4))
    few, whole = passes._trace(config, what, whole=False), trace_config(config, what, whole=True)
    assert few.peak() == whole.peak() or few.peak().bytes == whole.peak().bytes
    assert few.components() == whole.components()
    said = [
        [(each.bytes, each.stage, trace.made[each.storage]) for each in trace.events]
        for trace in (few, whole)
    ]
    until = next(at for at in range(len(said[0]), 0, -1) if said[0][at - 1][0] > 0)
    assert said[0][:until] == said[1][:until]
    assert sorted(said[0][until:]) == sorted(said[1][until:])  # a cache goes layer by layer, in some order


def test_layers_that_differ_all_run():
    config = llama(12)
    turns = []
    for whole in (False, True):
        trace = trace_config(config, asked(), whole=whole)
        turns.append({made.module for made in trace.made.values()})
    assert turns[0] == turns[1]


@pytest.mark.long
@pytest.mark.parametrize("checkpointed", [False, True])
@pytest.mark.parametrize("optimizer", ["adamw", "adamw-torch", "none"])
def test_a_training_step(optimizer, checkpointed):
    from transformers import AutoModelForCausalLM

    def config():
        return small_models.config_of("llama", 3, 64, 4, 2, 97, 4096, 16)

    work = Work(
        "train",
        3,
        56,
        training=Training(optimizer=optimizer),
        gradient_checkpointing=checkpointed,
        reentrant=False,
    )
    traced = trace_config(config(), asked("fp32", work=work))
    model = AutoModelForCausalLM.from_config(
        config(), dtype=torch.float32, attn_implementation="sdpa"
    ).train()
    if checkpointed:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    made = {"adamw": {"fused": True}, "adamw-torch": {}}.get(optimizer)
    steps = None if made is None else torch.optim.AdamW(model.parameters(), **made)
    ids = torch.randint(3, 90, (3, 56))
    gc.collect()
    with LiveTensors() as live:
        live.track_model(model)
        before = live.bytes
        live.reset_peak()
        for _ in range(2):
            model(input_ids=ids, labels=ids, use_cache=False).loss.backward()
            if steps is not None:
                steps.step()
            model.zero_grad()
    assert traced.peak().bytes == pytest.approx(live.peak - before, rel=0.001)
    assert traced.components()["gradients"] > 0


def test_a_card_runs_its_own_kernels():
    """One row needs no mask, so flash runs: it keeps no scores, which the reference has in fp32."""
    one = {"work": Work("prefill", 1, TOKENS, 3), **CARD}
    flash, reference = (peak(llama(), "bf16", kernel, **one) for kernel in ("sdpa", "sdpa-math"))
    scores = HEADS * TOKENS * TOKENS * 4
    assert flash < scores < reference
    half, brain = (peak(llama(), dtype, "eager", **CARD) for dtype in ("fp16", "bf16"))
    # Scores with those in fp32 twice, before and after the softmax; with the result in fp32 and in fp16.
    assert brain - half == BATCH * HEADS * TOKENS * TOKENS * ((2 + 4 + 4) - (2 + 4 + 2))


def test_few_queries_read_parts_of_the_keys_side_by_side():
    query, key = torch.empty(1, 32, 1, 128, device="meta"), torch.empty(1, 8, 4096, 128, device="meta")
    splits = split_bytes(query, key) / (32 * (1 + 128) * 4)
    assert splits == 32  # as many as blocks of keys: 8 groups of heads leave most of a card idle
    many = torch.empty(64, 32, 1, 128, device="meta")
    assert split_bytes(many, key) == 0


def test_quantized_layers_take_what_their_kernels_do():
    plain, whole, integers = (peak(llama(), scheme=each, **CARD) for each in (None, "nf4", "int8"))
    weight = HIDDEN * WIDE * 2
    rows = BATCH * TOKENS
    assert 0 <= whole - plain <= weight
    # Gate and up projections are there when the down projection reads its input: int8, and fp16 beside bf16.
    assert integers - plain > rows * HIDDEN
    one = {"work": Work("decode", 1, 8, 3), **CARD}
    assert peak(llama(), scheme="nf4", **one) - peak(llama(), **one) < weight
    with pytest.raises(UnsupportedError, match="not described"):
        peak(llama(), scheme="int3", **CARD)


def test_what_has_no_end_is_said(monkeypatch):
    monkeypatch.setattr(storages, "MOST_EVENTS", 50)
    with pytest.raises(UnsupportedError, match="not come to an end after 50 storages"):
        peak(llama())
    monkeypatch.setattr(storages, "MOST_EVENTS", math.inf)
    monkeypatch.setattr(storages, "MOST_SECONDS", 0)
    with pytest.raises(UnsupportedError, match="not come to an end after 0 seconds"):
        peak(llama())


def test_nor_has_code_that_makes_nothing_new(monkeypatch):
    from transformers.models.llama.modeling_llama import LlamaMLP

    def for_ever(self, x):
        while True:
            x.add_(1.0)

    monkeypatch.setattr(LlamaMLP, "forward", for_ever)
    monkeypatch.setattr(storages, "MOST_SECONDS", 0.5)
    with pytest.raises(UnsupportedError, match=r"not come to an end after 0\.5 seconds"):
        peak(llama())


def test_code_that_raises_is_said_with_its_module(monkeypatch):
    from transformers.models.llama.modeling_llama import LlamaMLP

    def raises(self, x):
        raise RuntimeError("no such\nkernel")

    monkeypatch.setattr(LlamaMLP, "forward", raises)
    with pytest.raises(UnsupportedError) as said:
        peak(llama())
    assert str(said.value).endswith("RuntimeError: no such kernel (in model.layers.0.mlp, prefill)")


def test_masks_have_values_and_states_have_none():
    """A row alone has no padding, so no mask is made, as in a run; two rows of other lengths have one."""
    one, two = (
        trace_config(llama(), asked(work=Work("prefill", rows, TOKENS, 3), **CARD)) for rows in (1, 2)
    )
    masks = [
        [made for made in trace.made.values() if made.dtype == "bool" and made.shape[-2:] == (TOKENS, TOKENS)]
        for trace in (one, two)
    ]
    assert not masks[0]
    assert masks[1]


def test_a_training_step_that_torch_does_not_do_is_refused():
    work = Work("train", 1, 8, training=Training(optimizer="adamw-8bit"))
    with pytest.raises(UnsupportedError, match="adamw-8bit is not traced; leave that out"):
        peak(llama(), work=work)


@pytest.mark.parametrize(
    ("family", "way", "checkpointed", "mixed"),
    [
        ("llama", "lora", False, "bf16"),
        ("gemma2", "lora", True, "bf16"),
        ("qwen3", "lora", False, "no"),
        ("llama", "qlora", False, "bf16"),
        ("llama", "qlora", True, "bf16"),
        ("llama", "full", False, "bf16"),
    ],
)
@pytest.mark.long
def test_adapters_are_trained_as_peft_does_it(family, way, checkpointed, mixed, tmp_path):
    case = training_steps.Case(family, way, checkpointed, mixed, training_steps.SMALL)
    real = training_steps.measured(case, tmp_path)
    lora = None if way == "full" else Lora(r=training_steps.RANK)
    work = Work("train", 1, training_steps.TOKENS, training=Training(mixed_precision=mixed, lora=lora))
    work = work.but(gradient_checkpointing=checkpointed, reentrant=False)
    scheme = "nf4" if way == "qlora" else None
    trace = trace_config(training_steps.sized(case), asked(work=work, scheme=scheme))
    weights = sum(
        stored(size, made) if scheme else size for size, made in zip(trace.weights, trace.loaded, strict=True)
    )
    assert trace.peak().bytes + weights == pytest.approx(real, rel=0.005 if scheme else 0.001)


def stored(size, made):
    """nf4: half a byte, and a scale in fp32 for each 64, of 2 bytes an element."""
    return size * (1 / 2 + 4 / 64) / 2 if "base_layer" in made.module else size


def test_adapters_that_cannot_be_traced_say_why():
    work = Work("train", 1, 8, training=Training(lora=Lora(target_modules=("nothing_here",))))
    with pytest.raises(UnsupportedError, match=r"peft adds no adapters: .*nothing_here"):
        peak(llama(), work=work)
    work = work.but(training=Training(lora=Lora()))
    with pytest.raises(UnsupportedError, match="a way back through weights in int8 is not traced; use nf4"):
        peak(llama(), work=work, scheme="int8")
