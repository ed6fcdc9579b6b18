"""What all prompts of a batch begin with is read once, and replies are what they are without."""

from types import SimpleNamespace

import pytest
import small_families
import small_models
import torch

from ullage.capture.choosing import Choosing
from ullage.capture.listener import Listener
from ullage.capture.projection import products_in, projected, projected_capture
from ullage.capture.proofs import proven_points
from ullage.engines.engine import Sampling
from ullage.engines.prefix import Beginning
from ullage.engines.row import new_row
from ullage.engines.transformers_engine import TransformersEngine
from ullage.engines.writing import Writer
from ullage.runtime.layout import find_layout
from ullage.spec.capture import Capture

BEGUN = tuple(range(5, 40)) + tuple(range(5, 13))
ENDS = [(31, 32, 33), (40, 41), (50,), (8, 9, 10, 11, 12), (60, 7), (21, 20, 19), (33,), (45, 46, 47, 48)]
PROMPTS = [(*BEGUN, *end) for end in ENDS]
WINDOWS = {"mistral", "gemma2", "gemma3_text"}
"""Families whose small models have layers that see a few columns alone."""
FAMILIES = [family for family in small_models.FAMILIES if family != "gpt_neox_sequential"]


def written(model, *, beginning, tokens=6, observer=None):
    """Rows after they were written, and the shapes that were read."""
    shares = Beginning(find_layout(model), "cpu") if beginning else None
    if shares is not None:
        with torch.inference_mode():
            shares.of(PROMPTS)  # knows from then on whether the model has layers that see a few columns alone
    seen = []
    hook = model.get_input_embeddings().register_forward_hook(lambda m, a, out: seen.append(out.shape[:2]))
    rows = [new_row(prompt, seed) for seed, prompt in enumerate(PROMPTS)]
    writer = Writer(model, "cpu", frozenset(), lambda _: "", beginning=shares)
    writer.write(rows, Sampling(tokens, temperature=1.0), observer)
    hook.remove()
    return rows, [shape[0] * shape[1] for shape in seen]


@pytest.mark.parametrize("family", FAMILIES)
def test_replies_are_what_they_are_without(family):
    model = small_models.build(family, vocabulary=len(small_models.tokenizer()))
    together, read = written(model, beginning=True)
    apart, whole = written(model, beginning=False)
    for one, other in zip(together, apart, strict=True):
        assert one.tokens == other.tokens
        assert one.logprobs == pytest.approx(other.logprobs, abs=1e-4)
    if family in WINDOWS:
        assert read == whole
    else:
        assert read[0] == len(BEGUN)
        assert sum(read) < 0.6 * sum(whole)


def test_the_beginning_is_a_row_of_its_own():
    model = small_models.build("llama", vocabulary=len(small_models.tokenizer()))
    _, read = written(model, beginning=True)
    assert read[:2] == [len(BEGUN), len(PROMPTS) * max(map(len, ENDS))]


@pytest.mark.parametrize("family", ["mamba", "jamba", "granitemoehybrid", "qwen3_next"])
def test_recurrences_are_given_no_beginning(family):
    """Padding between what is shared and what is a row's own would go through them."""
    model = small_families.build(small_families.config_of(family)).model
    begins = Beginning(find_layout(model), "cpu")
    with torch.inference_mode():
        assert begins.of(PROMPTS) == (0, None)


def test_little_is_not_read_in_a_pass_of_its_own():
    model = small_models.build("llama", vocabulary=len(small_models.tokenizer()))
    begins = Beginning(find_layout(model), "cpu")
    with torch.inference_mode():
        assert begins.of(PROMPTS[:2]) == (0, None)
        assert begins.of(PROMPTS[:1] * 20)[0] == len(PROMPTS[0]) - 1
        assert begins.of(PROMPTS)[0] == len(BEGUN)


def test_a_probe_hears_every_position_of_every_row():
    model = small_models.build("llama", vocabulary=len(small_models.tokenizer()))
    layout = find_layout(model)
    site = "blocks.1.hook_resid_post"
    weights = torch.randn(layout.config.hidden_size, 2, generator=torch.Generator().manual_seed(0))
    found = []
    for beginning in (True, False):
        (point,) = proven_points([projected_capture(site)], layout, name="small", ways=(False, True))
        listener = Listener([projected(point, weights)], layout, Choosing(len(PROMPTS)), to_the_end=True)
        rows, _ = written(model, beginning=beginning, observer=listener)
        found.append([products_in(each.states)[site] for each in listener.finish()])
    for one, other, row in zip(*found, rows, strict=True):
        assert one.shape == (len(row.whole), 2)
        assert torch.allclose(one, other, atol=1e-4)


def test_patterns_of_attention_are_read_without_padding_between():
    model = small_models.build("llama", vocabulary=len(small_models.tokenizer()))
    model.set_attn_implementation("eager")
    layout = find_layout(model)
    capture = Capture(sites=("blocks.0.attn.hook_pattern",), positions="all")
    points = proven_points([capture], layout, name="small", ways=(False, True))
    listener = Listener(points, layout, Choosing(len(PROMPTS)))
    with torch.inference_mode():
        assert Beginning(layout, "cpu").of(PROMPTS, listener) == (0, None)


def test_choices_of_several_tokens_take_one_pass():
    tokenizer = small_models.tokenizer()
    model = small_models.build("llama", vocabulary=len(tokenizer))
    engine = TransformersEngine(SimpleNamespace(model=model, tokenizer=tokenizer, device="cpu"), "small")
    prompts = ["the cat ran over the red house", "a dog sings over the blue river and under the red house"]
    choices = [" zebra river", " cat", "東京", " zebra house"]
    engine.score(prompts, choices)  # proves that branches are kept apart
    seen = []
    hook = model.get_input_embeddings().register_forward_hook(lambda m, a, out: seen.append(out.shape[:2]))
    found = engine.score(prompts, choices)
    hook.remove()
    assert len(seen) == 1
    for prompt, scores in zip(prompts, found, strict=True):
        begun = tokenizer(prompt)["input_ids"]
        for choice, score in zip(choices, scores, strict=True):
            rest = tokenizer(choice, add_special_tokens=False)["input_ids"]
            with torch.inference_mode():
                logits = model(torch.tensor([begun + rest])).logits[0].log_softmax(-1)
            places = range(len(begun) - 1, len(begun) + len(rest) - 1)
            whole = sum(logits[at, token].item() for at, token in zip(places, rest, strict=True))
            assert score == pytest.approx(whole, abs=1e-4)
