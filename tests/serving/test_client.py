"""A server as the official client of OpenAI's protocol sees it."""

import base64
import io
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import openai
import pytest

SPEAKING = "Rewrite the answer in the first person. The boat number {} is red and is with Ann and Ben."


GIVEN_BACK = 5.0
"""Seconds for what takes a token; the replies it ends would take several times as long."""


def asked(text, role="user"):
    return [{"role": role, "content": text}]


def url_of(png):
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def picture(size=(64, 48)):
    from PIL import Image

    file = io.BytesIO()
    Image.new("RGB", size, "red").save(file, "PNG")
    return file.getvalue()


def with_picture(url):
    parts = [
        {"type": "text", "text": "What is in the picture"},
        {"type": "image_url", "image_url": {"url": url}},
    ]
    return [{"role": "user", "content": parts}]


def test_a_chat_is_answered_with_its_usage(server):
    found = server.client().chat.completions.create(
        model="writer", messages=asked(SPEAKING.format(1)), user="me"
    )
    (choice,) = found.choices
    assert choice.message.content
    assert choice.finish_reason == "stop"
    assert found.usage.total_tokens == found.usage.prompt_tokens + found.usage.completion_tokens
    assert found.usage.completion_tokens > 3


def test_a_stream_is_the_same_answer_piece_by_piece(server):
    ask = {"model": "writer", "messages": asked(SPEAKING.format(2))}
    whole = server.client().chat.completions.create(**ask)
    parts = [
        *server.client().chat.completions.create(**ask, stream=True, stream_options={"include_usage": True})
    ]
    said = [part.choices[0].delta.content for part in parts if part.choices and part.choices[0].delta.content]
    assert len(said) > 3
    assert "".join(said) == whole.choices[0].message.content
    assert [part.choices[0].finish_reason for part in parts if part.choices][-1] == "stop"
    assert parts[-1].usage == whole.usage


def test_answers_end_where_they_are_asked_to(server):
    client = server.client().chat.completions
    whole = client.create(model="writer", messages=asked(SPEAKING.format(3))).choices[0].message.content
    short = client.create(model="writer", messages=asked(SPEAKING.format(3)), max_completion_tokens=3)
    assert short.choices[0].finish_reason == "length"
    assert short.usage.completion_tokens == 3
    assert whole.startswith(short.choices[0].message.content)
    stop = whole[5:8]
    cut = client.create(model="writer", messages=asked(SPEAKING.format(3)), stop=stop).choices[0]
    assert cut.message.content == whole[: whole.index(stop)]


def test_tokens_come_with_their_probabilities(server):
    """The first one's is the largest that the model itself gives after the same prompt."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    import ullage

    ask = {"model": "writer", "messages": asked(SPEAKING.format(3)), "logprobs": True, "top_logprobs": 0}
    client = server.client().chat.completions
    answer = client.create(**ask)
    choice = answer.choices[0]
    found = choice.logprobs.content
    assert len(found) == answer.usage.completion_tokens
    assert b"".join(bytes(each.bytes) for each in found).decode() == choice.message.content
    assert all(each.logprob <= 0 and each.top_logprobs == [] for each in found)
    words = AutoTokenizer.from_pretrained(ullage.tiny_path())
    model = AutoModelForCausalLM.from_pretrained(ullage.tiny_path(), dtype=torch.float32).eval()
    ids = words.apply_chat_template(ask["messages"], add_generation_prompt=True, return_tensors="pt")
    with torch.inference_mode():
        logits = model(**ids).logits[0, -1]
    assert found[0].logprob == pytest.approx(logits.log_softmax(-1).max().item(), abs=1e-3)
    *_, last = client.create(**ask, stream=True)
    assert [each.token for each in last.choices[0].logprobs.content] == [each.token for each in found]
    cut = client.create(**ask, stop=choice.message.content[5:8]).choices[0]
    assert "".join(each.token for each in cut.logprobs.content) == cut.message.content
    told = client.create(**ask | {"top_logprobs": 5}).choices[0].logprobs.content
    for each in told:
        assert (each.top_logprobs[0].token, each.top_logprobs[0].logprob) == (each.token, each.logprob)
        weights = [other.logprob for other in each.top_logprobs]
        assert weights == sorted(weights, reverse=True)
        assert len(weights) == 5
    likely = logits.log_softmax(-1).topk(5)
    assert [each.logprob for each in told[0].top_logprobs] == pytest.approx(likely.values.tolist(), abs=1e-3)
    texts = [words.decode([token]) for token in likely.indices]
    assert [each.token for each in told[0].top_logprobs] == texts


def test_several_answers_to_one_chat_are_drawn_apart(server):
    client = server.client().chat.completions
    ask = {"model": "writer", "messages": asked(SPEAKING.format(4)), "temperature": 1.5, "seed": 7}
    alone = client.create(**ask)
    four = client.create(**ask, n=4)
    texts = [choice.message.content for choice in four.choices]
    assert [choice.index for choice in four.choices] == [0, 1, 2, 3]
    assert texts[0] == alone.choices[0].message.content
    assert len(set(texts)) > 1
    assert [choice.message.content for choice in client.create(**ask, n=4).choices] == texts
    assert four.usage.prompt_tokens == alone.usage.prompt_tokens
    parts = [*client.create(**ask, n=4, stream=True, stream_options={"include_usage": True})]
    streamed = dict.fromkeys(range(4), "")
    for part in parts:
        for choice in part.choices:
            streamed[choice.index] += choice.delta.content or ""
    assert [*streamed.values()] == texts
    assert sorted(c.index for p in parts for c in p.choices if c.finish_reason) == [0, 1, 2, 3]
    assert parts[-1].usage == four.usage


def test_the_same_seed_draws_the_same_answer(server):
    def drawn(seed):
        ask = {"model": "writer", "messages": asked(SPEAKING.format(4)), "temperature": 1.5, "seed": seed}
        return server.client().chat.completions.create(**ask).choices[0].message.content

    assert drawn(7) == drawn(7)
    assert len({drawn(seed) for seed in range(6)}) > 1


def test_answers_together_are_those_one_at_a_time(server):
    client = server.client()

    def answer(number):
        more = {"temperature": 1.0, "seed": number} if number % 3 == 0 else {}
        found = client.chat.completions.create(
            model="writer", messages=asked(SPEAKING.format(number)), max_tokens=4 + number, **more
        )
        return found.choices[0].message.content, found.usage

    alone = [answer(number) for number in range(20)]
    with ThreadPoolExecutor(20) as threads:
        assert [*threads.map(answer, range(20))] == alone


def test_tools_are_called_and_their_results_read(server):
    client = server.client()
    function = {
        "name": "weather",
        "parameters": {"type": "object", "properties": {"town": {"type": "string"}}},
    }
    ask = {"model": "script", "tools": [{"type": "function", "function": function}]}
    said = asked("How is the weather in Norby?")
    first = client.chat.completions.create(**ask, messages=said).choices[0]
    assert first.finish_reason == "tool_calls"
    (call,) = first.message.tool_calls
    assert (call.function.name, json.loads(call.function.arguments)) == ("weather", {"town": "Norby"})
    assert first.message.content == "I look."
    said += [first.message.model_dump(exclude_none=True)]
    said += [{"role": "tool", "tool_call_id": call.id, "content": "rain"}]
    second = client.chat.completions.create(**ask, messages=said).choices[0]
    assert (second.message.content, second.finish_reason) == ("It rains in Norby.", "stop")
    streamed = [*client.chat.completions.create(**ask, messages=said[:1], stream=True)]
    calls = [part.choices[0].delta.tool_calls for part in streamed if part.choices[0].delta.tool_calls]
    assert calls[0][0].function.name == "weather"
    assert "<tool_call>" not in str(streamed)


def test_a_picture_is_looked_at(server):
    ask = {"model": "eye", "messages": with_picture(url_of(picture())), "max_tokens": 4}
    found = server.client().chat.completions.create(**ask)
    assert found.usage.prompt_tokens > 10
    streamed = [*server.client().chat.completions.create(**ask, stream=True)]
    said = "".join(part.choices[0].delta.content or "" for part in streamed)
    assert said == found.choices[0].message.content


@pytest.mark.parametrize(
    "url, status, code",
    [
        ("https://example.com/cat.png", 400, "invalid_image_url"),
        ("data:image/png;base64,!!!", 400, "invalid_base64"),
        (url_of(b"no picture"), 400, "invalid_image"),
    ],
)
def test_what_is_no_picture_is_refused(server, url, status, code):
    with pytest.raises(openai.APIStatusError) as refused:
        server.client().chat.completions.create(model="eye", messages=with_picture(url))
    assert (refused.value.status_code, refused.value.code) == (status, code)


def test_a_picture_of_too_many_pixels_is_refused_before_any_is_decoded(server):
    import struct
    import zlib

    png = picture()
    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    png = png[:16] + header + struct.pack(">I", zlib.crc32(b"IHDR" + header)) + png[33:]
    with pytest.raises(openai.APIStatusError) as refused:
        server.client().chat.completions.create(model="eye", messages=with_picture(url_of(png)))
    assert refused.value.status_code == 413


def test_a_picture_is_painted(server):
    from PIL import Image

    found = server.client().images.generate(model="painter", prompt="a red boat")
    png = base64.b64decode(found.data[0].b64_json)
    assert Image.open(io.BytesIO(png)).size == (32, 32)


def test_texts_are_embedded(server):
    client = server.client().embeddings
    found = client.create(model="writer", input=["the red boat", "the red boat", "a cat"])
    plain = client.create(model="writer", input="the red boat", encoding_format="float")
    first, same, other = (each.embedding for each in found.data)
    assert first == pytest.approx(same, abs=1e-5)
    assert first == pytest.approx(plain.data[0].embedding, abs=1e-5)
    assert sum(each**2 for each in first) == pytest.approx(1, abs=1e-4)
    assert first != pytest.approx(other, abs=1e-2)
    assert found.usage.prompt_tokens > 3


def test_states_are_those_of_an_extraction(server):
    """As `ullage.Extractor` reads them of the same model."""
    import torch
    from safetensors.torch import load
    from transformers import AutoModelForCausalLM, AutoTokenizer

    import ullage

    text, sites = "The red boat is in the harbour.", ["blocks.*.hook_resid_post"]
    asked = {"model": "writer", "text": text}
    found = load(server.post("/v1/states", asked))
    words = AutoTokenizer.from_pretrained(ullage.tiny_path())
    model = AutoModelForCausalLM.from_pretrained(ullage.tiny_path(), dtype=torch.float32).eval()
    (read,) = ullage.Extractor(model, sites, tokenizer=words).read([text])
    assert found.pop("tokens").tolist() == [*read.tokens]
    assert found.keys() == read.states.keys()
    for site, states in found.items():
        torch.testing.assert_close(states.float(), read.states[site].float(), atol=1e-4, rtol=1e-3)
    one = load(server.post("/v1/states", asked | {"sites": ["blocks.0.*"]}))
    assert set(one) == {"tokens", "blocks.0.hook_resid_post"}


def test_models_are_the_roles_and_where_they_are(server):
    client = server.client().models
    found = {each.id: each.ullage for each in client.list()}
    assert found["writer"]["does"] == ["chat", "embeddings", "states"]
    assert found["painter"]["does"] == ["images"]
    assert found["script"]["where"] == "elsewhere"
    assert client.retrieve("eye").ullage["does"] == ["chat", "pictures"]
    with pytest.raises(openai.NotFoundError):
        client.retrieve("nobody")


@pytest.mark.parametrize(
    "more, status, said",
    [
        ({"model": "writr"}, 404, "nearest: writer"),
        ({"model": "painter"}, 400, "painter does images"),
        ({"messages": []}, 400, "messages"),
        ({"logit_bias": {"1": 2}}, 400, "unsupported parameter: logit_bias"),
        ({"n": 2}, 400, "n: the likeliest answer is one"),
        ({"n": 9, "temperature": 1}, 400, "n: 9 is more than the 8"),
        ({"n": 2, "temperature": 1, "model": "script"}, 400, "n: script gives one answer"),
        ({"top_logprobs": 3}, 400, "top_logprobs: "),
        ({"top_logprobs": 21, "logprobs": True}, 400, "top_logprobs: "),
        ({"model": "script", "logprobs": True}, 400, "logprobs: script gives none"),
        ({"tool_choice": "required"}, 400, "tool_choice: there are no tools"),
        ({"response_format": {"type": "json_object"}}, 400, "response_format.type: Input should be 'text'"),
        ({"stop": ["a", "b", "c", "d", "e"]}, 400, "stop: List should have at most 4 items"),
        ({"messages": [{"role": "user", "content": None}]}, 400, "messages.0.content"),
        ({"max_tokens": 25}, 400, "25 is more than the 24 that role writer is planned for"),
        ({"temperature": 3}, 400, "temperature"),
        ({"messages": asked("the cat " * 300)}, 400, "tokens, and the role is planned for prompts of 200"),
        ({"messages": with_picture("data:image/png;base64,")}, 400, "reads no pictures"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_what_cannot_be_answered_is_refused_in_a_line(server, more, status, said, stream):
    ask = {"model": "writer", "messages": asked("Where is the cat?"), "stream": stream}
    with pytest.raises(openai.APIStatusError) as refused:
        server.client().chat.completions.create(**(ask | more))
    assert refused.value.status_code == status
    assert said in refused.value.message
    assert refused.value.type


def test_a_wrong_key_opens_nothing(server):
    for key in ("wrong", server.token[:-1], server.token + "x"):
        with pytest.raises(openai.AuthenticationError):
            server.client(key).models.list()


def leases(server):
    import urllib.request

    request = urllib.request.Request(
        f"{server.address}/metrics", headers={"Authorization": f"Bearer {server.token}"}
    )
    with urllib.request.urlopen(request) as answer:
        lines = answer.read().decode().splitlines()
    return {line.split()[0]: float(line.split()[1]) for line in lines if not line.startswith("#")}


def test_who_hangs_up_in_a_stream_frees_the_lease(serving, endless_folder):
    """On a role that would go on for minutes."""
    roles = {"slow": {"model": str(endless_folder)}}
    with serving(roles, {"new_tokens": 8_000, "prompt_tokens": 50}) as server:
        stream = server.client().chat.completions.create(model="slow", messages=asked("go on"), stream=True)
        next(part for part in stream if part.choices[0].delta.content)
        held = 'ullage_role_leases{role="slow"}'
        assert leases(server)[held] > 0
        stream.close()
        until = time.monotonic() + GIVEN_BACK
        while leases(server)[held] and time.monotonic() < until:
            time.sleep(0.02)
        assert leases(server)[held] == 0


def test_who_hangs_up_before_the_answer_frees_it_too(serving, endless_folder):
    roles = {"slow": {"model": str(endless_folder)}}
    with serving(roles, {"new_tokens": 8_000, "prompt_tokens": 50}) as server:
        client = server.client(timeout=2)
        with pytest.raises(openai.APITimeoutError):
            client.chat.completions.create(model="slow", messages=asked("go on"))
        held = ("ullage_answering", 'ullage_role_leases{role="slow"}')
        until = time.monotonic() + GIVEN_BACK
        while any(leases(server)[name] for name in held) and time.monotonic() < until:
            time.sleep(0.02)
        assert not any(leases(server)[name] for name in held)


def test_a_full_queue_says_when_to_come_again_and_loses_nothing(serving):
    with serving({"writer": {"model": "ullage:tiny"}}, {"batch": 1}, queue=2) as server:
        plain = server.client()
        seen = []
        lock = threading.Lock()

        def refused_or_answered(number):
            try:
                plain.chat.completions.create(model="writer", messages=asked(SPEAKING.format(number)))
                found = 200
            except openai.RateLimitError as error:
                found = int(error.response.headers["retry-after"])
                assert error.code == "queue_full"
            with lock:
                seen.append(found)

        with ThreadPoolExecutor(16) as threads:
            [*threads.map(refused_or_answered, range(16))]
        assert seen.count(200) >= 2
        assert all(1 <= again <= 60 for again in seen if again != 200)
        assert len(seen) > seen.count(200)
        with ThreadPoolExecutor(6) as threads:
            patient = server.client(max_retries=20)
            answers = threads.map(
                lambda number: patient.chat.completions.create(
                    model="writer", messages=asked(SPEAKING.format(number))
                ),
                range(6),
            )
            assert all(answer.choices[0].message.content for answer in answers)
