"""What is made of a server's answer, field by field."""

import json

import pytest

from ullage.engines.completion import UnusableError, Weighed, covers, read_completion


def choice(index, text):
    return {"index": index, "finish_reason": "stop", "message": {"content": text}}


def body(choices, **more):
    return json.dumps({"choices": choices, **more}).encode()


def test_of_several_choices_the_first_by_index_is_taken():
    assert read_completion(body([choice(1, "Rome"), choice(0, "Paris")])).text == "Paris"
    assert read_completion(body([choice(3, "Rome"), choice(2, "Paris")])).text == "Rome"


def test_a_count_that_no_reply_has_is_not_believed():
    usage = {"prompt_tokens": 10**30, "completion_tokens": 7}
    found = read_completion(body([choice(0, "Paris")], usage=usage))
    assert (found.prompt_tokens, found.new_tokens) == (0, 7)


def test_a_body_in_another_encoding_is_called_so():
    with pytest.raises(UnusableError, match="it is not UTF-8") as caught:
        read_completion('{"choices": ["Z\u00fcrich"]}'.encode("latin-1"))
    assert caught.value.again


@pytest.mark.parametrize(
    "pieces, text, whole",
    [
        (["Paris", " is", " big"], "Paris is big", True),
        (["Paris", "is", "big"], " Paris is\nbig", True),
        (["Paris", " is", "<end>"], "Paris is", True),
        (["Paris"], "Paris is big", False),
        (["caf", "\ufffd", "\ufffd"], "café noir", True),
        (["caf", ""], "café noir", True),
        (["bytes:\\xc3"], "é, that is all", True),
    ],
)
def test_log_probabilities_of_some_tokens_are_not_those_of_the_answer(pieces, text, whole):
    assert covers([Weighed(piece, -0.1) for piece in pieces], text) is whole
