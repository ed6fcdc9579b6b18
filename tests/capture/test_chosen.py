"""Chosen positions are rows of all of them: padded, in chunks, while the model writes, in any order."""

import pytest
import small_models
from hypothesis import given, settings
from hypothesis import strategies as st

import ullage
from ullage.errors import InputError, SpecError
from ullage.runtime.tokenizer import special_ids

SITE = "blocks.2.hook_resid_post"
CHOICES = [
    "last:1",
    "last:4",
    [0, -1],
    [-1, 0, 1],
    [[0, 3], -1],
    [[-4, -1]],
    [[2, 40]],
    [[1, -1]],
    [[0, 2], [1, 2]],
]


@pytest.fixture(scope="module")
def model():
    return small_models.build("llama")


def texts(lengths):
    return [[(7 * n + k * k) % 90 + 3 for k in range(n)] for n in lengths]


def taken(states, positions):
    import torch

    if isinstance(positions, str):
        return states[-int(positions.removeprefix("last:")) :]
    parts = [states[each][None] if isinstance(each, int) else states[slice(*each)] for each in positions]
    return torch.cat(parts)


def assert_taken(found, whole, positions):
    for one, all_of_it in zip(found, whole, strict=True):
        wanted = taken(all_of_it.states[SITE], positions)
        assert one.states[SITE].shape == wanted.shape
        assert (one.states[SITE] - wanted).abs().sum() == 0


@settings(max_examples=30, deadline=None)
@given(
    positions=st.sampled_from(CHOICES),
    lengths=st.lists(st.integers(2, 20), min_size=1, max_size=5),
    chunk=st.none() | st.integers(1, 9),
    new=st.integers(0, 8),
)
def test_chosen_positions_are_rows_of_all(model, positions, lengths, chunk, new):
    ids = texts(lengths)
    some = ullage.Extractor(model, [SITE], positions=positions, chunk_tokens=chunk)
    every = ullage.Extractor(model, [SITE], chunk_tokens=chunk)
    if new:
        assert_taken(some.generate(ids, new), every.generate(ids, new), positions)
    else:
        assert_taken(some.read(ids), every.read(ids), positions)


@pytest.mark.parametrize("chunk", [None, 3])
def test_special_tokens_are_left_out_wherever_they_stand(model, chunk):
    words = small_models.tokenizer()
    model = small_models.build("llama", vocabulary=len(words))
    ids = [words(text)["input_ids"] for text in ("<s>the cat</s> sings</s>", "the red house", "</s><s>")]
    extractor = ullage.Extractor(model, [SITE], positions="not-special", tokenizer=words, chunk_tokens=chunk)
    whole = ullage.Extractor(model, [SITE], chunk_tokens=chunk)
    special = special_ids(words)
    for found, every in (
        (extractor.read(ids), whole.read(ids)),
        (extractor.generate(ids, 5), whole.generate(ids, 5)),
    ):
        for one, all_of_it in zip(found, every, strict=True):
            states = all_of_it.states[SITE]
            kept = [at for at in range(len(states)) if all_of_it.tokens[at] not in special]
            assert one.states[SITE].shape == (len(kept), states.shape[1])
            assert (one.states[SITE] - states[kept]).abs().sum() == 0
    assert extractor.read(ids)[2].states[SITE].shape == (0, 64)


def test_logits_of_no_position_are_no_rows(model):
    words = small_models.tokenizer()
    model = small_models.build("llama", vocabulary=len(words))
    (read,) = ullage.Extractor(model, ["logits"], positions="not-special", tokenizer=words).read([[1, 2]])
    assert read.states["logits"].shape == (0, len(words))


def test_chosen_positions_stay_in_the_graph(model):
    extractor = ullage.Extractor(model, [SITE], positions=[-1, 0], with_gradients=True)
    (read,) = extractor.read([[5, 6, 7]])
    read.states[SITE].sum().backward()
    assert model.model.embed_tokens.weight.grad.abs().sum() > 0
    model.zero_grad()


@pytest.mark.parametrize("chunk", [None, 4])
def test_spans_are_kept_while_the_model_writes(model, chunk):
    ids, spans = texts([3, 11, 7]), [(0, 2), (3, 9), (6, 7)]
    extractor = ullage.Extractor(model, [SITE], positions="span", chunk_tokens=chunk)
    whole = ullage.Extractor(model, [SITE], chunk_tokens=chunk).generate(ids, 4)
    for one, every, (begin, end) in zip(extractor.generate(ids, 4, spans), whole, spans, strict=True):
        assert (one.states[SITE] - every.states[SITE][begin:end]).abs().sum() == 0
        assert one.states[SITE].shape == (end - begin, 64)


def test_a_stream_has_the_precision_that_was_asked_for(model):
    import torch

    states = ullage.collect(
        ullage.Extractor(model, [SITE], precision="fp16", chunk_tokens=4).stream(texts([9]))
    )
    assert states[SITE].dtype == torch.float16


@pytest.mark.parametrize("positions", ["last", "mean", "last:2", [0]])
def test_a_stream_of_some_positions_is_refused(model, positions):
    with pytest.raises(InputError, match="stream gives every position"):
        ullage.Extractor(model, [SITE], positions=positions).stream(texts([5]))


WRONG = {
    "positions nobody knows": (lambda m: ullage.Extractor(m, [SITE], positions="lst"), "nearest: last"),
    "special without a tokenizer": (
        lambda m: ullage.Extractor(m, [SITE], positions="not-special"),
        "asks the tokenizer",
    ),
    "a position a text has not": (
        lambda m: ullage.Extractor(m, [SITE], positions=[0, 5]).read(texts([9, 3])),
        r"inputs\[1\] has 3 tokens and no position 5",
    ),
    "a position a prompt has not": (
        lambda m: ullage.Extractor(m, [SITE], positions=[-4]).generate(texts([3]), 9),
        r"inputs\[0\] has 3 tokens and no position -4",
    ),
    "no spans": (lambda m: ullage.Extractor(m, [SITE], positions="span").read(texts([3])), "needs spans="),
    "spans that would mean nothing": (
        lambda m: ullage.Extractor(m, [SITE]).read(texts([3]), [(0, 1)]),
        "with positions: span alone",
    ),
    "fewer spans than texts": (
        lambda m: ullage.Extractor(m, [SITE], positions="span").generate(texts([3, 4]), 1, [(0, 1)]),
        "1 of them for 2 inputs",
    ),
    "a span beyond its text": (
        lambda m: ullage.Extractor(m, [SITE], positions="span").read(texts([3]), [(1, 4)]),
        r"spans\[0\]: \[1, 4\] is not",
    ),
}


@pytest.mark.parametrize(("asked", "said"), WRONG.values(), ids=WRONG)
def test_what_cannot_be_kept_is_refused_in_one_line(model, asked, said):
    with pytest.raises((InputError, SpecError, TypeError), match=said) as error:
        asked(model)
    assert str(error.value).count("\n") == 0
