"""Laws of the memory model: more of anything never needs fewer bytes."""

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ullage.errors import SpecError
from ullage.facts.abilities import nvidia
from ullage.facts.config import read_config
from ullage.memory.estimate import estimate
from ullage.phases.phase import Phase, Resident, Work
from ullage.spec.capture import Capture
from ullage.spec.role import Cache, Role
from ullage.spec.workload import Training

FAMILIES = {
    "llama": {},
    "gemma3_text": {"sliding_window": 64, "sliding_window_pattern": 2, "head_dim": 32},
    "mixtral": {"num_local_experts": 4, "num_experts_per_tok": 2},
    "jamba": {"attn_layer_period": 2, "attn_layer_offset": 1, "mamba_d_state": 8},
}
_BUILT = {}
AMPERE = nvidia((8, 0))


def architecture(family):
    if family not in _BUILT:
        config = {
            "model_type": family,
            "hidden_size": 128,
            "intermediate_size": 256,
            "num_hidden_layers": 4,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "vocab_size": 512,
            "max_position_embeddings": 1 << 24,
            "dtype": "bfloat16",
        }
        _BUILT[family] = read_config(config | FAMILIES[family], family, "test")
    return _BUILT[family]


def high(family, work, **role):
    """High value of the live peak on one device."""
    resident = Resident("model", Role(model=family, **role))
    phase = Phase("phase", (resident,), "model", work)
    needs = estimate((phase,), {family: architecture(family)}, AMPERE).needs
    held = sum(
        need.each.high * (len(need.blocks) or 1 if need.combine == "sum" else 1)
        for need in needs
        if need.home == "gpu" and need.combine != "max"
    )
    temporary = max((n.each.high for n in needs if n.combine == "max" and n.level == "live"), default=0)
    return held + temporary


families = st.sampled_from(sorted(FAMILIES))
kernels = st.sampled_from(["flash", "sdpa", "sdpa-math", "eager"])
activities = st.sampled_from(["prefill", "decode", "train"])
caches = st.sampled_from([Cache(), Cache(kind="static")])
works = st.builds(
    Work,
    activity=activities,
    batch=st.integers(1, 16),
    prompt_tokens=st.integers(1, 3000),
    new_tokens=st.integers(1, 500),
    logits=st.sampled_from(["none", "last", "all"]),
    gradient_checkpointing=st.booleans(),
)
laws = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@laws
@given(families, works, kernels, caches, st.integers(1, 2000))
def test_more_context_never_needs_fewer_bytes(family, work, kernel, cache, more):
    longer = replace(work, prompt_tokens=work.prompt_tokens + more)
    role = {"attention": kernel, "cache": cache}
    assert high(family, longer, **role) >= high(family, work, **role)


@laws
@given(families, works, kernels, st.integers(1, 8))
def test_more_batch_never_needs_fewer_bytes(family, work, kernel, more):
    larger = replace(work, batch=work.batch + more)
    assert high(family, larger, attention=kernel) >= high(family, work, attention=kernel)


@laws
@given(families, works.filter(lambda work: work.activity != "train"))
def test_more_bits_never_need_fewer_bytes(family, work):
    weights = []
    for precision in ("nf4", "int8", "bf16", "fp32"):
        resident = Resident("model", Role(model=family, precision=precision))
        phase = Phase("phase", (resident,), "model", work)
        needs = estimate((phase,), {family: architecture(family)}, AMPERE).needs
        weights.append(sum(n.each.high * len(n.blocks) for n in needs if n.component == "weights"))
    assert weights == sorted(weights)


@laws
@given(families, works, st.integers(0, 3), st.sampled_from(["device", "host", "disk"]))
def test_more_layers_captured_never_need_fewer_bytes(family, work, layers, keep):
    def captured(count):
        capture = Capture(sites=("blocks.{l}.hook_resid_post",), layers=tuple(range(count)), keep=keep)
        return high(family, replace(work, captures=(capture,)))

    assert captured(layers + 1) >= (captured(layers) if layers else high(family, work))


@laws
@given(works)
def test_checkpointing_never_needs_more_than_keeping_everything_of_many_layers(work):
    training = replace(work, activity="train", training=Training())
    off = high("llama", replace(training, gradient_checkpointing=False))
    on = high("llama", replace(training, gradient_checkpointing=True))
    assert on <= off


def test_a_window_longer_than_the_model_is_refused():
    tight = replace(architecture("llama"), max_positions=100)
    phase = Phase("p", (Resident("m", Role(model="x")),), "m", Work("prefill", 1, 101))
    with pytest.raises(SpecError, match="window of 100"):
        estimate((phase,), {"x": tight}, AMPERE)


def test_a_site_that_matches_nothing_lists_the_sites_there_are():
    capture = Capture(sites=("blocks.9.hook_resid_post",))
    work = Work("prefill", 1, 10, captures=(capture,))
    with pytest.raises(SpecError, match="layers 0 to 3"):
        high("llama", work)
