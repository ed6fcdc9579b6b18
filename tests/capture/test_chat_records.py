"""Records that are chats: read through the model's own template."""

import pytest
import small_models

from ullage.capture.tokens import tokenize
from ullage.errors import InputError

TEMPLATE = (
    "{% for m in messages %}{% if m.role == 'tool' %}{{ raise_exception('no tools here') }}{% endif %}"
    "<s>[{{ m.role }}] {{ m.content }}</s>{% endfor %}{% if add_generation_prompt %}<s>[assistant]{% endif %}"
)
ASKED = [{"role": "user", "content": "the cat"}]
ANSWERED = [*ASKED, {"role": "assistant", "content": "ran"}]


@pytest.fixture(scope="module")
def tokenizer():
    made = small_models.tokenizer()
    made.chat_template = TEMPLATE
    return made


def read(record, tokenizer, special=True):
    return next(tokenize(iter([(3, record)]), "chats.jsonl", tokenizer, 400, "text", special))


def test_a_question_invites_the_answer_and_special_tokens_come_once(tokenizer):
    found = read({"messages": ASKED}, tokenizer)
    assert found.text == "<s>[user] the cat</s><s>[assistant]"
    assert found.tokens == tuple(tokenizer(found.text, add_special_tokens=False)["input_ids"])
    assert found.tokens.count(tokenizer.bos_token_id) == 2
    assert read({"messages": ASKED}, tokenizer, special=False) == found


def test_an_answered_chat_ends_with_its_answer(tokenizer):
    assert read({"messages": ANSWERED}, tokenizer).text.endswith("<s>[assistant] ran</s>")


def test_offsets_and_spans_are_those_of_the_written_chat(tokenizer):
    text = "<s>[user] the cat</s><s>[assistant]"
    begin = text.index("cat")
    found = read({"messages": ASKED, "span": [begin, begin + 3]}, tokenizer)
    first, last = found.span
    inside = "".join(text[slice(*found.offsets[at])] for at in range(first, last))
    assert inside.strip() == "cat"


def test_text_wins_over_messages(tokenizer):
    assert read({"text": "a dog", "messages": ASKED}, tokenizer).text == "a dog"


@pytest.mark.parametrize(
    "messages, said",
    [
        ([], "not a list of objects with 'role' and 'content'"),
        ("hello", "not a list of objects"),
        ([{"role": "user"}], "not a list of objects"),
        ([{"role": "user", "content": 3}], "not a list of objects"),
        ([{"role": "tool", "content": "x"}], "chat template refuses them: no tools here"),
    ],
)
def test_what_is_no_chat_is_refused_with_its_line(tokenizer, messages, said):
    with pytest.raises(InputError, match=f"chats.jsonl:3: messages: .*{said}"):
        read({"messages": messages}, tokenizer)


def test_a_tokenizer_without_a_template_says_so():
    with pytest.raises(InputError, match=r"chats\.jsonl:3: messages: .* has no chat template"):
        read({"messages": ASKED}, small_models.tokenizer())


def test_neither_text_nor_messages_is_named(tokenizer):
    with pytest.raises(InputError, match=r"no text under 'text' \(it has: words\)"):
        read({"words": "x"}, tokenizer)
