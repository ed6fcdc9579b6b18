"""What an observer of the loop hears is what a plain pass over the finished text gives."""

from types import SimpleNamespace

import pytest
import small_models
from hypothesis import given, settings
from hypothesis import strategies as st

import ullage
from ullage.capture.choosing import Choosing
from ullage.capture.listener import Listener
from ullage.capture.proofs import proven_points
from ullage.engines.engine import Sampling
from ullage.engines.row import new_row
from ullage.engines.transformers_engine import TransformersEngine
from ullage.engines.writing import Writer
from ullage.runtime.layout import find_layout
from ullage.spec.capture import Capture

SITES = ("hook_embed", "blocks.1.attn.hook_v", "blocks.2.hook_resid_post", "ln_final")
SHARED = "the a cat dog ran over under blue red house tree sings river"


def listener_of(model, sequences, positions="all", sites=SITES):
    layout = find_layout(model)
    points = proven_points([Capture(sites=sites, positions=positions)], layout, name="small")
    return Listener(points, layout, Choosing(sequences))


def plain(model, tokens, sites=SITES):
    return ullage.Extractor(model, sites).read([tokens])[0].states


def engine_of(model, tokenizer, chunk=None):
    loaded = SimpleNamespace(model=model, tokenizer=tokenizer, device="cpu")
    return TransformersEngine(loaded, "small", chunk)


def assert_near(found, wanted):
    assert found.keys() == wanted.keys()
    for site, states in wanted.items():
        assert found[site].shape == states.shape
        assert (found[site] - states).abs().max() < 2e-5


@settings(max_examples=25, deadline=None)
@given(
    family=st.sampled_from(["llama", "gpt2", "gemma3_text", "mistral", "mixtral"]),
    lengths=st.lists(st.integers(1, 20), min_size=1, max_size=6),
    new=st.integers(1, 12),
    ends=st.frozensets(st.integers(0, 95), max_size=40),
    chunk=st.none() | st.integers(1, 9),
    temperature=st.sampled_from([0.0, 1.5]),
)
def test_states_are_those_of_a_plain_pass_however_rows_end(family, lengths, new, ends, chunk, temperature):
    model = small_models.build(family)
    rows = [new_row([(7 * n + k * k) % 90 + 3 for k in range(n)], n) for n in lengths]
    listener = listener_of(model, len(rows))
    Writer(model, "cpu", ends, str, chunk).write(rows, Sampling(new, temperature), listener)
    for row, read in zip(rows, listener.finish(), strict=True):
        assert len(row.tokens) <= new
        assert (read.tokens, read.prompt_tokens) == (row.whole, len(row.prompt))
        assert (row.stop == "end") == (row.ending in ends and row.ending is not None)
        assert_near(read.states, plain(model, row.whole[:-1]))


@pytest.mark.parametrize("positions", ["last", "mean"])
def test_reduced_positions_are_reductions_of_all_that_was_read(positions):
    model = small_models.build("llama")
    rows = [new_row(range(3, 3 + n), n) for n in (2, 9, 5)]
    listener = listener_of(model, 3, positions)
    Writer(model, "cpu", frozenset(range(40)), str).write(rows, Sampling(10, 1.0), listener)
    for row, read in zip(rows, listener.finish(), strict=True):
        for site, whole in plain(model, row.whole[:-1]).items():
            wanted = whole[-1:] if positions == "last" else whole.mean(0, keepdim=True)
            assert (read.states[site] - wanted).abs().max() < 2e-5


@pytest.mark.parametrize("family", ["llama", "gemma3_text"])
def test_patterns_of_what_was_written(family):
    model = small_models.build(family)
    model.set_attn_implementation("eager")
    site = "blocks.0.attn.hook_pattern"
    rows = [new_row(range(3, 3 + n), n) for n in (2, 6)]
    listener = listener_of(model, 2, sites=(site,))
    Writer(model, "cpu", frozenset(), str).write(rows, Sampling(9), listener)
    for row, read in zip(rows, listener.finish(), strict=True):
        assert_near(read.states, plain(model, row.whole[:-1], (site,)))


def test_being_watched_changes_no_reply():
    tokenizer = small_models.tokenizer()
    model = small_models.build("llama", vocabulary=len(tokenizer))
    engine = engine_of(model, tokenizer)
    prompts = [SHARED, "the cat ran", "a dog"]
    for sampling in (Sampling(12), Sampling(12, 1.2, 0.9)):
        alone = engine.generate(prompts, sampling, [1, 2, 3])
        with engine.observed(listener_of(model, 3)):
            assert engine.generate(prompts, sampling, [1, 2, 3]) == alone


def test_a_chunked_prompt_is_gone_on_with_as_a_whole_one():
    model = small_models.build("qwen2")
    written = []
    for chunk in (None, 1, 4, 100):
        rows = [new_row(range(3, 3 + n), n) for n in (2, 13, 8)]
        Writer(model, "cpu", frozenset(), str, chunk).write(rows, Sampling(8))
        written.append([row.whole for row in rows])
    assert written[1:] == written[:1] * 3


@pytest.mark.parametrize("positions", ["last", "all"])
def test_scores_are_listened_to_behind_a_shared_beginning(positions):
    tokenizer = small_models.tokenizer()
    model = small_models.build("llama", vocabulary=len(tokenizer))
    engine = engine_of(model, tokenizer)
    choices = [" a", " the zebra"]
    prompts = [f"{SHARED} {end}" for end in ("cat", "dog ran", "the red tree")]
    for _ in range(2):  # the second time the beginning is in the cache
        listener = listener_of(model, 3, positions)
        with engine.observed(listener):
            scores = engine.score(prompts, choices)
        for prompt, read in zip(prompts, listener.finish(), strict=True):
            assert read.tokens == tuple(tokenizer(prompt)["input_ids"])
            wanted = plain(model, tokenizer(prompt)["input_ids"])
            end = {site: whole[-1:] for site, whole in wanted.items()}
            assert_near(read.states, wanted if positions == "all" else end)
        for one, other in zip(scores, engine.score(prompts, choices), strict=True):
            assert one == pytest.approx(other, abs=1e-4)


@pytest.mark.parametrize("family", ["llama", "gemma3_text"])
@pytest.mark.parametrize("chunk", [1, 5, 100])
def test_chunks_change_no_score_and_no_embedding(family, chunk):
    tokenizer = small_models.tokenizer()
    model = small_models.build(family, vocabulary=len(tokenizer))
    whole, chunked = engine_of(model, tokenizer), engine_of(model, tokenizer, chunk)
    for prompts in ([SHARED, "the cat ran", "a dog"], [f"{SHARED} {end}" for end in ("cat", "dog ran away")]):
        pairs = zip(
            whole.score(prompts, [" a", " the zebra"]),
            chunked.score(prompts, [" a", " the zebra"]),
            strict=True,
        )
        assert all(one == pytest.approx(other, abs=1e-4) for one, other in pairs)
        assert (whole.embed(prompts, 3) - chunked.embed(prompts, 3)).abs().max() < 1e-5


def test_what_cannot_be_generated_is_said():
    model = small_models.build("llama")
    extractor = ullage.Extractor(model, ["ln_final"])
    with pytest.raises(ullage.errors.InputError, match="at least 1"):
        extractor.generate([[1, 2]], 0)
    with pytest.raises(ullage.errors.InputError, match="tokenizer"):
        extractor.generate([[1, 2]], 3, stop=["x"])


def test_an_extractor_samples_by_seed_and_stops_at_texts():
    tokenizer = small_models.tokenizer()
    model = small_models.build("llama", vocabulary=len(tokenizer))
    extractor = ullage.Extractor(model, ["ln_final"], tokenizer=tokenizer)
    prompts = [SHARED, "the cat"]
    drawn = [extractor.generate(prompts, 12, temperature=1.0, top_p=0.9, seed=seed) for seed in (1, 1, 2)]
    tokens = [[each.tokens for each in one] for one in drawn]
    assert tokens[0] == tokens[1] != tokens[2]
    new = drawn[0][0].tokens[drawn[0][0].prompt_tokens :]
    stop = tokenizer.decode(new[:4]).strip()[:3]
    cut = extractor.generate(prompts[:1], 12, temperature=1.0, top_p=0.9, seed=1, stop=[stop])[0]
    assert len(cut.tokens) < len(drawn[0][0].tokens)
    assert len(cut.states["ln_final"]) == len(cut.tokens) - 1
