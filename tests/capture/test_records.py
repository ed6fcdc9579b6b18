"""Lines of an input file that become tokens, and those that cannot."""

import json

import pytest
import small_models
from hypothesis import given, settings
from hypothesis import strategies as st

from ullage.capture import tokens
from ullage.capture.tokens import read_records, tokenize
from ullage.errors import InputError

WORDS = small_models.tokenizer()


def tokenized(path, *records, tokenizer=WORDS, **options):
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    given = {"vocabulary": len(WORDS), "text_field": "text", "special_tokens": False} | options
    return list(tokenize(read_records(path, "text"), "in.jsonl", tokenizer, **given))


def test_a_span_of_characters_is_the_tokens_that_touch_it(tmp_path):
    (one,) = tokenized(tmp_path / "in.jsonl", {"text": "the cat sings under a tree", "span": [4, 9]})
    begin, end = one.span
    touched = [one.offsets[at] for at in range(begin, end)]
    assert touched[0][0] <= 4 < touched[0][1]
    assert touched[-1][0] < 9 <= touched[-1][1]


def test_a_span_of_tokens_is_positions(tmp_path):
    (one,) = tokenized(tmp_path / "in.jsonl", {"tokens": [5, 6, 7, 8], "span": [1, 3]})
    assert (one.tokens, one.text, one.span) == ((5, 6, 7, 8), None, (1, 3))


WRONG = {
    "a span past the end": ({"tokens": [5, 6], "span": [0, 3]}, r"\[begin, end\) positions of the 2"),
    "a span backwards": ({"text": "the cat", "span": [3, 3]}, "characters of the 7"),
    "a span of truths": ({"text": "the cat", "span": [False, True]}, "span"),
    "a span in words": ({"text": "the cat", "span": "cat"}, "'cat' is not"),
    "a token that is none": ({"tokens": [5, 10**6]}, "1000000 is not in the vocabulary"),
    "tokens in words": ({"tokens": ["the"]}, "not a list of whole numbers"),
    "no text": ({"body": "the cat"}, r"no text under 'text' \(it has: body\)"),
    "an empty text": ({"text": ""}, "has no tokens"),
    "a chat that is none": ({"messages": ["hello"]}, "'role' and 'content'"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_record_that_cannot_be_is_named_with_its_line(tmp_path, name):
    record, said = WRONG[name]
    with pytest.raises(InputError, match=r"^in\.jsonl:2: ") as refused:
        tokenized(tmp_path / "in.jsonl", {"text": "the cat"}, record)
    refused.match(said)


def test_text_without_a_tokenizer_asks_for_tokens(tmp_path):
    with pytest.raises(InputError, match="give records with 'tokens' instead"):
        tokenized(tmp_path / "in.jsonl", {"text": "the cat"}, tokenizer=None)
    assert tokenized(tmp_path / "in.jsonl", {"tokens": [5]}, tokenizer=None)[0].tokens == (5,)


def test_a_plain_text_file_has_a_record_a_line(tmp_path):
    (tmp_path / "in.txt").write_text("the cat\n\n  \na dog\n")
    assert list(read_records(tmp_path / "in.txt", "body")) == [
        (1, {"body": "the cat"}),
        (4, {"body": "a dog"}),
    ]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"text": "\xff"}\n', "not UTF-8"),
        (b'{"text": \n', "not"),
        (b"[1]\n", "in.jsonl:1"),
        (b"[" * 100_000 + b"\n", "in.jsonl:1"),
    ],
)
def test_a_line_that_is_no_record_is_refused(tmp_path, content, said):
    (tmp_path / "in.jsonl").write_bytes(content)
    with pytest.raises(InputError, match=said):
        list(read_records(tmp_path / "in.jsonl", "text"))


def test_a_line_without_an_end_is_not_read_whole(tmp_path):
    with (tmp_path / "in.jsonl").open("wb") as file:
        file.truncate(65 * 2**20)
    with pytest.raises(InputError, match="longer than 64 MiB"):
        list(read_records(tmp_path / "in.jsonl", "text"))
    with pytest.raises(InputError, match="cannot be read"):
        list(read_records(tmp_path / "gone.jsonl", "text"))


def test_a_file_without_records_is_refused(tmp_path):
    with pytest.raises(InputError, match="holds no records"):
        tokenized(tmp_path / "in.jsonl")


@given(
    st.lists(
        st.builds(lambda text: {"text": text}, st.text("the cat sings東京é ", min_size=1, max_size=30))
        | st.builds(lambda ids: {"tokens": ids}, st.lists(st.integers(3, 90), min_size=1, max_size=5)),
        min_size=1,
        max_size=20,
    ),
    st.integers(1, 5),
    st.booleans(),
)
@settings(max_examples=30)
def test_texts_tokenized_together_or_alone_have_the_same_tokens(records, together, special):
    numbered = list(enumerate(records, 1))
    given_ = (WORDS, len(WORDS), "text", special)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tokens, "TOGETHER", together)
        found = list(tokenize(numbered, "in.jsonl", *given_))
    assert len(found) == len(records)
    for one, (number, record) in zip(found, numbered, strict=True):
        (alone,) = tokenize([(number, record)], "in.jsonl", *given_)
        assert (one.tokens, one.offsets, one.text) == (alone.tokens, alone.offsets, alone.text)


def test_what_is_wrong_with_a_record_is_told_after_those_before_it():
    coming = tokenize(
        enumerate([{"text": "the cat"}, {"tokens": [5]}, {"text": 5}], 1),
        "in.jsonl",
        WORDS,
        len(WORDS),
        "text",
        True,
    )
    assert [next(coming).line, next(coming).line] == [1, 2]
    with pytest.raises(InputError, match=r"in\.jsonl:3: no text"):
        next(coming)
