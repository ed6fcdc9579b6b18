"""A streamed reply is the one that is written: its pieces join to its text, whatever its tokens are."""

from types import SimpleNamespace

import pytest
import small_models
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models
from transformers import PreTrainedTokenizerFast

from ullage.capture.spelling import Spelling, decode, generated_offsets, spelling_of
from ullage.engines.engine import Piece, Reply, Sampling, Streaming
from ullage.engines.pieces import Pieces
from ullage.engines.row import first_stop
from ullage.engines.transformers_engine import TransformersEngine

TEXTS = ("the cat", "日本語の文", "👩‍👩‍👧 runs", "né à Zürich", " a dog", "\n", "�", "हिन्दी")
STOPS = ("cat", "文", "\n\n", "👩", "a d", "�")


def byte_fallback():
    """SentencePiece's way: words with a mark for the space, and every byte by itself."""
    words = ["▁the", "▁cat", "日本", "語", "▁", "né", "s"]
    names = ["<s>", *(f"<0x{byte:02X}>" for byte in range(256)), *words]
    made = Tokenizer(models.WordLevel({name: at for at, name in enumerate(names)}, "<s>"))
    steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    made.decoder = decoders.Sequence(steps)
    return PreTrainedTokenizerFast(tokenizer_object=made, bos_token="<s>")


def bytes_of(tokenizer, text):
    return [tokenizer.convert_tokens_to_ids(f"<0x{byte:02X}>") for byte in text.encode()]


def word_pieces():
    """BERT's way: pieces with a mark for no space, and punctuation drawn closer once it is complete."""
    names = [
        "[UNK]",
        "[SEP]",
        "do",
        "##n",
        "n",
        "'",
        "t",
        "##ing",
        "cat",
        ".",
        ",",
        "!",
        "s",
        "ve",
        "re",
        "m",
    ]
    made = Tokenizer(models.WordPiece({name: at for at, name in enumerate(names)}, unk_token="[UNK]"))
    made.decoder = decoders.WordPiece(cleanup=True)
    return PreTrainedTokenizerFast(tokenizer_object=made, unk_token="[UNK]", sep_token="[SEP]")


BYTE_LEVEL = small_models.tokenizer(corpus=TEXTS)
FALLBACK = byte_fallback()
PIECES = word_pieces()


def replied(tokenizer, tokens, stops):
    """What an engine's reply of these tokens is, cut where a stop sequence begins; and the tokens until
    then."""
    for count in range(1, len(tokens) + 1):
        cut = first_stop(decode(tokenizer, tokens[:count]), stops)
        if cut is not None:
            tokens = tokens[:count]
            break
    else:
        cut = None
    text, offsets = generated_offsets("", tokens, tokenizer)
    kept = len(tokens) if cut is None else sum(begin < cut for begin, _ in offsets)
    text = text if cut is None else text[:cut]
    offsets = tuple((begin, min(end, len(text))) for begin, end in offsets[:kept])
    return Reply(text, "length" if cut is None else "stop", 1, tuple(tokens[:kept]), (), offsets), tokens


@st.composite
def written(draw):
    tokenizer = draw(st.sampled_from([BYTE_LEVEL, FALLBACK]))
    some = st.lists(st.integers(0, len(tokenizer) - 1), max_size=6)
    parts = draw(st.lists(st.sampled_from(TEXTS) | st.text(max_size=4) | some, max_size=6))
    tokens = []
    for part in parts:
        if not isinstance(part, str):
            tokens += part
        elif tokenizer is FALLBACK:
            tokens += bytes_of(tokenizer, part)
        else:
            tokens += tokenizer(part, add_special_tokens=False)["input_ids"]
    return tokenizer, tokens, draw(st.lists(st.sampled_from(STOPS), max_size=2))


@settings(max_examples=150)
@given(written())
@example((FALLBACK, [117, 105, 102, 33, 0, 129], []))  # a special token within a run of bytes
def test_pieces_join_to_the_text_each_where_its_token_is(given_):
    tokenizer, tokens, stops = given_
    reply, until = replied(tokenizer, tokens, stops)
    pieces = Pieces(spelling_of(tokenizer), stops)
    found = []
    for count in range(1, len(until) + 1 - (reply.stop == "stop")):
        found += pieces.grown(until[count - 1])
        assert reply.text.startswith("".join(piece.text for piece in found))
    found += pieces.rest(reply)
    assert "".join(piece.text for piece in found) == (reply.text if reply.tokens else "")
    assert tuple(piece.token for piece in found) == reply.tokens
    for piece, (begin, end) in list(zip(found, reply.offsets, strict=True))[:-1]:
        assert piece.text == reply.text[begin:end]


@settings(max_examples=100)
@given(st.data())
def test_a_spelling_is_the_text_of_all_its_tokens_whenever_it_is_read(data):
    tokenizer = data.draw(st.sampled_from([BYTE_LEVEL, FALLBACK, PIECES]))
    tokens = []
    if tokenizer is not PIECES:
        for text in data.draw(st.lists(st.sampled_from(TEXTS), max_size=30)):
            tokens += bytes_of(tokenizer, text) if tokenizer is FALLBACK else tokenizer(text)["input_ids"]
    tokens += data.draw(st.lists(st.integers(0, len(tokenizer) - 1), max_size=80))
    spelling = spelling_of(tokenizer)
    for count, token in enumerate(tokens, 1):
        spelling.add(token)
        assert spelling.text == decode(tokenizer, tokens[:count])


def test_a_step_of_a_long_reply_decodes_no_more_than_one_of_a_short_one():
    asked = []

    def counted(ids):
        asked.append(len(ids))
        return decode(BYTE_LEVEL, ids)

    spelling = Spelling(counted, BYTE_LEVEL.convert_ids_to_tokens)
    for token in BYTE_LEVEL("the cat né à Zürich 日本語の文 " * 200)["input_ids"]:
        spelling.add(token)
    assert len(spelling.ids) > 1000
    assert max(asked) < 100


def test_a_character_is_given_with_the_token_that_completes_it():
    tokens = [*BYTE_LEVEL("x", add_special_tokens=False)["input_ids"]]
    tokens += [BYTE_LEVEL.convert_tokens_to_ids(each) for each in ("ð", "Ł", "ĺ", "Ģ")]  # U+1F600
    pieces = Pieces(spelling_of(BYTE_LEVEL), ())
    found = [[piece.text for piece in pieces.grown(token)] for token in tokens]
    assert found == [["x"], [], [], [], ["", "", "", "😀"]]


@pytest.mark.parametrize("temperature", [0.0, 3.0])
def test_a_streamed_reply_is_the_one_that_is_generated(temperature):
    model = small_models.build("llama", vocabulary=len(BYTE_LEVEL))
    engine = TransformersEngine(SimpleNamespace(model=model, tokenizer=BYTE_LEVEL, device="cpu"), "small")
    assert isinstance(engine, Streaming)
    for seed in range(8):
        sampling = Sampling(12, temperature, stop=("th", "e") if seed % 2 else ())
        (reply,) = engine.generate(["the cat ran"], sampling, [seed])
        *pieces, last = engine.stream("the cat ran", sampling, seed)
        assert last == reply
        assert all(isinstance(piece, Piece) for piece in pieces)
        assert "".join(piece.text for piece in pieces) == reply.text
