"""Laws of the memory model: more of anything never needs fewer bytes.

Here of so many families that each mechanism is among them, of every one by benchmarks/laws.py.
"""

from dataclasses import replace

import every_family
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ullage.errors import SpecError
from ullage.facts.abilities import nvidia
from ullage.memory.estimate import estimate
from ullage.memory.refusals import WITHOUT_FLASH
from ullage.phases.phase import Phase, Resident, Work
from ullage.spec.capture import Capture
from ullage.spec.role import Cache, Role
from ullage.spec.training import Training
from ullage.units import MIB

AMPERE = nvidia((8, 0))


def unbounded(family):
    """Its architecture, of any length: the window is another test's."""
    return replace(every_family.architecture(family), max_positions=None)


def high(family, work, **role):
    """High value of the live peak on one device."""
    resident = Resident("model", Role(model=family, **role))
    phase = Phase("phase", (resident,), "model", work)
    needs = estimate((phase,), {family: unbounded(family)}, AMPERE).needs
    held = sum(
        need.each.high * (len(need.blocks) or 1 if need.combine == "sum" else 1)
        for need in needs
        if need.home == "gpu" and need.combine != "max"
    )
    temporary = max((n.each.high for n in needs if n.combine == "max" and n.level == "live"), default=0)
    return held + temporary


def unused_and_alive(family, work, **role):
    """High values of segments that stay unused around the pass, and of its caches and largest temporaries."""
    resident = Resident("model", Role(model=family, **role))
    phase = Phase("phase", (resident,), "model", work)
    needs = estimate((phase,), {family: unbounded(family)}, AMPERE).needs
    around = (n.each.high for n in needs if n.component == "fragmentation" and n.combine == "once")
    largest = (n.each.high for n in needs if n.combine == "max" and n.level == "live")
    cached = (n.each.high * len(n.blocks) for n in needs if n.component == "kv_cache")
    return sum(around), max(largest, default=0) + sum(cached)


kernels = st.sampled_from(["flash", "sdpa", "sdpa-math", "eager"])


def of(family, kernel):
    """A kernel that transformers runs the family with."""
    return "sdpa" if kernel == "flash" and family in WITHOUT_FLASH else kernel


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

laws = settings(
    max_examples=max(4, settings().max_examples // 25), suppress_health_check=[HealthCheck.too_slow]
)
"""A few examples of each family in `make test`, many in the attack."""
ENCODERS = [family for family in every_family.NAMES if every_family.architecture(family).encodes]
every = pytest.mark.parametrize(
    "family", every_family.covering([each for each in every_family.NAMES if each not in ENCODERS])
)


@every
@laws
@given(works, st.booleans(), st.sampled_from([1, 64, 300]))
def test_what_stays_unused_around_a_pass_is_of_the_size_of_what_is_alive(family, work, caching, batch):
    """In fp32 `sdpa` makes scores where heads are grouped: a replay of one prompt as long as all together
    made the square of theirs, 40 times what there is."""
    many = replace(work, batch=batch, activity="prefill", caches=caching, chunk_tokens=0)
    around, alive = unused_and_alive(family, many, attention="sdpa", precision="fp32")
    assert around <= 3 * alive + 512 * MIB


@every
@laws
@given(works, kernels, caches, st.integers(1, 2000))
def test_more_context_never_needs_fewer_bytes(family, work, kernel, cache, more):
    longer = replace(work, prompt_tokens=work.prompt_tokens + more)
    role = {"attention": of(family, kernel), "cache": cache}
    assert high(family, longer, **role) >= high(family, work, **role)


@every
@laws
@given(works, kernels, st.integers(1, 8))
def test_more_batch_never_needs_fewer_bytes(family, work, kernel, more):
    larger, kernel = replace(work, batch=work.batch + more), of(family, kernel)
    assert high(family, larger, attention=kernel) >= high(family, work, attention=kernel)


@pytest.mark.parametrize("family", ENCODERS)
@laws
@given(st.integers(1, 400), st.integers(1, 16), st.integers(1, 100))
def test_more_context_or_batch_never_needs_fewer_bytes_of_an_encoder(family, tokens, batch, more):
    def held(tokens, batch):
        work = Work("prefill", batch=batch, prompt_tokens=tokens, new_tokens=0)
        return high(family, work, attention="eager")

    assert held(tokens, batch) <= min(held(tokens + more, batch), held(tokens, batch + more))


@every
@laws
@given(works.filter(lambda work: work.activity != "train"))
def test_more_bits_never_need_fewer_bytes(family, work):
    weights = []
    for precision in ("nf4", "int8", "bf16", "fp32"):
        resident = Resident("model", Role(model=family, precision=precision))
        phase = Phase("phase", (resident,), "model", work)
        needs = estimate((phase,), {family: unbounded(family)}, AMPERE).needs
        weights.append(sum(n.each.high * len(n.blocks) for n in needs if n.component == "weights"))
    assert weights == sorted(weights)


@every
@laws
@given(works, st.integers(0, 3), st.sampled_from(["device", "host", "disk"]))
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
    tight = replace(every_family.architecture("llama"), max_positions=100)
    phase = Phase("p", (Resident("m", Role(model="x")),), "m", Work("prefill", 1, 101))
    with pytest.raises(SpecError, match="window of 100"):
        estimate((phase,), {"x": tight}, AMPERE)


def test_a_site_that_matches_nothing_lists_the_sites_there_are():
    capture = Capture(sites=("blocks.99.hook_resid_post",))
    work = Work("prefill", 1, 10, captures=(capture,))
    with pytest.raises(SpecError, match="layers 0 to 31"):
        high("llama", work)
