"""Responses, as the official client reads them: what a chat says in another form."""

import base64
import io

import openai
import pytest

SPEAKING = "Rewrite the answer in the first person. The boat number {} is red and is with Ann and Ben."


def asked(text, role="user"):
    return [{"role": role, "content": text}]


@pytest.fixture
def responses(server):
    return server.client().responses


def test_a_response_is_the_answer_of_the_chat(server, responses):
    said = SPEAKING.format(1)
    chat = server.client().chat.completions.create(model="writer", messages=asked(said))
    found = responses.create(model="writer", input=said, store=True, metadata={"a": "b"})
    assert found.output_text == chat.choices[0].message.content
    assert (found.status, found.error, found.metadata) == ("completed", None, {"a": "b"})
    used = found.usage
    assert (used.input_tokens, used.output_tokens) == (chat.usage.prompt_tokens, chat.usage.completion_tokens)
    assert used.total_tokens == chat.usage.total_tokens


def test_a_conversation_goes_on_with_what_was_answered(server, responses):
    """Its items as they were given, and instructions as a system message."""
    said = asked("Where is the cat?")
    first = responses.create(model="writer", input=said, instructions="Be brief.")
    more = [*said, *first.output, *asked("And the dog?")]
    second = responses.create(model="writer", input=more, instructions="Be brief.")
    told = [
        *asked("Be brief.", "system"),
        *said,
        *asked(first.output_text, "assistant"),
        *asked("And the dog?"),
    ]
    chat = server.client().chat.completions.create(model="writer", messages=told)
    assert second.output_text == chat.choices[0].message.content
    assert second.usage.input_tokens == chat.usage.prompt_tokens


def test_a_stream_tells_the_whole_story_in_order(responses):
    ask = {"model": "writer", "input": SPEAKING.format(2)}
    whole = responses.create(**ask)
    events = [*responses.create(**ask, stream=True)]
    assert [each.sequence_number for each in events] == [*range(len(events))]
    kinds = list(dict.fromkeys(each.type.removeprefix("response.") for each in events))
    assert kinds == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]
    deltas = [each.delta for each in events if each.type == "response.output_text.delta"]
    assert len(deltas) > 3
    assert "".join(deltas) == events[-1].response.output_text == whole.output_text
    assert events[-1].response.usage == whole.usage
    assert events[-1].response.id == events[0].response.id


def test_the_clients_own_stream_puts_it_together(responses):
    with responses.stream(model="writer", input=SPEAKING.format(3)) as stream:
        for _ in stream:
            pass
        found = stream.get_final_response()
    assert found.output_text == responses.create(model="writer", input=SPEAKING.format(3)).output_text


@pytest.mark.parametrize("stream", [False, True])
def test_one_that_is_cut_off_says_so(responses, stream):
    found = responses.create(model="writer", input=SPEAKING.format(1), max_output_tokens=3, stream=stream)
    if stream:
        last = [*found][-1]
        assert last.type == "response.incomplete"
        found = last.response
    assert found.status == "incomplete"
    assert found.incomplete_details.reason == "max_output_tokens"
    assert found.usage.output_tokens == 3


def test_a_picture_is_looked_at(responses):
    from PIL import Image

    file = io.BytesIO()
    Image.new("RGB", (64, 48), "red").save(file, "PNG")
    url = f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
    parts = [
        {"type": "input_text", "text": "What is in the picture"},
        {"type": "input_image", "image_url": url},
    ]
    found = responses.create(model="eye", input=[{"role": "user", "content": parts}], max_output_tokens=4)
    assert found.usage.input_tokens > 10


def test_what_is_no_prompt_is_told_in_the_words_of_a_response(responses):
    with pytest.raises(openai.BadRequestError) as refused:
        responses.create(model="writer", input="the cat " * 300)
    assert (refused.value.code, refused.value.param) == ("context_length_exceeded", "input")


@pytest.mark.parametrize(
    "more, said",
    [
        ({"previous_response_id": "resp_1"}, "unsupported parameter: previous_response_id"),
        ({"tools": [{"type": "web_search"}]}, "unsupported parameter: tools"),
        ({"reasoning": {"effort": "low"}}, "unsupported parameter: reasoning"),
        ({"background": True}, "background: "),
        ({"max_output_tokens": 25}, "max_output_tokens: 25 is more than the 24"),
        ({"input": []}, "input"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_what_is_not_done_is_refused_by_its_name(responses, more, said, stream):
    with pytest.raises(openai.BadRequestError) as refused:
        responses.create(**({"model": "writer", "input": "Hello", "stream": stream} | more))
    assert said in refused.value.message
    assert refused.value.param == next(iter(more))
