"""Prompts that share a text, read in one row: the same numbers as each of them alone, in every family."""

from types import SimpleNamespace

import pytest
import small_models
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ullage.engines.branching import rows_of, tree_of
from ullage.engines.prompts import PromptEncoder
from ullage.engines.transformers_engine import TransformersEngine

BEGUN = "the a cat dog ran over under blue red house tree sings"
TEXTS = (f"{BEGUN} river over the blue house a dog sings", f"{BEGUN} red tree")
ENDS = (" cat", " dog ran under", " the", " a red river sings blue")
ROWS = [[text + end for end in ENDS[:count]] for text, count in zip(TEXTS, (4, 3), strict=True)]
CHOICES = ("cat", "dog")
FAMILIES = [family for family in small_models.FAMILIES if family != "gpt_neox_sequential"]


def engine_of(family="llama", window=4096, attention="sdpa", **options):
    tokenizer = small_models.tokenizer()
    model = small_models.build(family, vocabulary=len(tokenizer), window=window)
    model.set_attn_implementation(attention)
    loaded = SimpleNamespace(model=model, tokenizer=tokenizer, device="cpu")
    return TransformersEngine(loaded, "small", **options), model, tokenizer


def alone(model, tokenizer, prompt, forms):
    """From all logits of a plain pass of the model: each choice's forms' log-probabilities, summed."""
    with torch.inference_mode():
        logits = model(torch.tensor([tokenizer(prompt)["input_ids"]])).logits[0, -1].double().log_softmax(-1)
    return [logits[list(some)].logsumexp(-1).item() for some in forms]


@pytest.mark.long
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_branch_is_what_the_whole_model_says_of_it_alone(family, attention):
    engine, model, tokenizer = engine_of(family, attention=attention)
    assert engine.why_singly(12, CHOICES) == ""
    forms = [PromptEncoder(tokenizer, "small").forms(choice) for choice in CHOICES]
    for row, found in zip(ROWS, engine.decide(ROWS, CHOICES), strict=True):
        for prompt, scores in zip(row, found, strict=True):
            assert scores == pytest.approx(alone(model, tokenizer, prompt, forms), abs=5e-6)


@pytest.mark.parametrize("family", ["gemma2", "gemma3_text", "mistral"])
def test_a_window_that_texts_may_outgrow_is_read_singly_and_said(family):
    engine, model, tokenizer = engine_of(family, window=16)
    assert "keep branches apart" in engine.why_singly(12, CHOICES)
    wide, *_ = engine_of(family, window=60)  # wider than the self-check, narrower than the text
    assert wide.why_singly(60, CHOICES) == ""
    assert "no more than 60 tokens" in wide.why_singly(61, CHOICES)
    forms = [PromptEncoder(tokenizer, "small").forms(choice) for choice in CHOICES]
    for prompt, (scores,) in zip(ROWS[0], engine.decide([[one] for one in ROWS[0]], CHOICES), strict=True):
        assert scores == pytest.approx(alone(model, tokenizer, prompt, forms), abs=1e-5)


def test_a_kernel_without_masks_and_chunks_are_said():
    engine, model, _ = engine_of()
    model.config._attn_implementation = "flash_attention_2"
    assert "flash_attention_2" in engine.why_singly(12, CHOICES)
    chunked, *_ = engine_of(chunk_tokens=8)
    assert "chunks" in chunked.why_singly(12, CHOICES)


def test_choices_of_several_tokens_are_weighed_as_they_are_written_and_no_more_at_once_than_rows():
    engine, model, _ = engine_of()
    choices = ("cat", "zebra river")
    assert "'zebra river' is no single token" in engine.why_singly(12, choices)
    sizes = []
    hook = model.get_input_embeddings().register_forward_hook(lambda m, a, out: sizes.append(out.shape[0]))
    found = engine.decide(ROWS, choices)
    hook.remove()
    assert max(sizes) <= len(ROWS)
    for row, scores in zip(ROWS, found, strict=True):
        for (_, both), (_, whole) in zip(scores, engine.score(row, choices), strict=True):
            assert both == pytest.approx(whole, abs=1e-5)


def test_a_model_that_ignores_the_mask_is_found_out(monkeypatch):
    engine, model, _ = engine_of()
    whole = model.model.forward
    monkeypatch.setattr(model.model, "forward", lambda *a, attention_mask=None, **more: whole(*a, **more))
    assert "keep branches apart" in engine.why_singly(12, CHOICES)


def test_a_text_is_read_once_and_its_prefix_once_for_all_batches():
    engine, model, tokenizer = engine_of()
    engine.why_singly(12, CHOICES)
    seen = []
    hook = model.get_input_embeddings().register_forward_hook(lambda m, a, out: seen.append(out.shape[:2]))
    first, second = engine.decide(ROWS, CHOICES), engine.decide(ROWS, CHOICES)
    hook.remove()
    assert first == second
    assert len(seen) == 3
    shared = seen[0][1]
    ids = [[tuple(tokenizer(prompt)["input_ids"]) for prompt in row] for row in ROWS]
    width = max(len(tree_of(row, shared).tokens) for row in ids)
    assert seen[1] == seen[2] == (2, width)
    assert 2 * width < sum(len(one) for row in ids for one in row) / 2


def test_only_a_few_logits_leave_the_device(monkeypatch):
    from ullage.engines import scoring

    engine, *_ = engine_of()
    sizes = []
    made = scoring.logits_of

    def counted(hidden, layout):
        sizes.append(len(hidden))
        return made(hidden, layout)

    monkeypatch.setattr(scoring, "logits_of", counted)
    engine.decide(ROWS, CHOICES)
    assert sum(sizes) == sum(map(len, ROWS))
    assert max(sizes) <= len(ROWS)


TOKENS = st.lists(st.integers(0, 3), min_size=1, max_size=9).map(tuple)


@settings(max_examples=200, deadline=None)
@given(st.lists(TOKENS, min_size=1, max_size=6), st.integers(1, 40))
def test_rows_hold_every_prompt_once_in_order_and_what_they_say(prompts, most):
    rows = rows_of(prompts, most)
    assert [index for held, _ in rows for index in held] == list(range(len(prompts)))
    for held, tokens in rows:
        tree = tree_of([prompts[index] for index in held])
        assert [tree.trunk + branch for branch in tree.branches] == [prompts[index] for index in held]
        assert all(tree.branches)
        assert tokens == len(tree.tokens) == len(tree.positions)
        assert len(held) == 1 or tokens <= most
    assert sum(tokens for _, tokens in rows) <= sum(map(len, prompts))


@settings(max_examples=10, deadline=None)
@given(st.lists(st.lists(st.sampled_from(small_models.WORDS[:12]), max_size=9), min_size=1, max_size=5))
def test_any_row_is_read_as_its_prompts_are_alone(ends):
    engine, model, tokenizer = ENGINE
    row = [" ".join([BEGUN, *end, "a"]) for end in ends]
    forms = [PromptEncoder(tokenizer, "small").forms(choice) for choice in CHOICES]
    (found,) = engine.decide([row], CHOICES)
    for prompt, scores in zip(row, found, strict=True):
        assert scores == pytest.approx(alone(model, tokenizer, prompt, forms), abs=5e-6)


ENGINE = engine_of("qwen3")


def test_every_form_of_a_word_is_found():
    words = ["yes", " yes", "Yes", " Yes", "YES", "yesterday", "no", "eyes"]
    vocabulary = {
        "\u2581yes": 5,
        "\u0120Yes": 6,
        "yes": 7,
        "YES\u010a": 8,
        "yesterday": 9,
        "eyes": 10,
        "no": 11,
    }

    class Words:
        all_special_tokens = ()
        added_tokens_decoder = {}

        def __call__(self, text, add_special_tokens):
            return {"input_ids": [words.index(text) + 20] if text in words else [1, 2]}

        def get_vocab(self):
            return vocabulary

    found = PromptEncoder(Words(), "small").forms("yes")
    assert found == (5, 6, 7, 8, 20, 21, 22, 23, 24)
    assert PromptEncoder(Words(), "small", rows=9).forms("yes") == (5, 6, 7, 8)
