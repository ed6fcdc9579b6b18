"""The remote engine against a real server on this machine, well-behaved and not."""

import json
import math
import time
from types import SimpleNamespace

import pytest
from remote_server import Server, completion

from ullage.engines.engine import Failure, Sampling
from ullage.engines.openai import Settings
from ullage.engines.openai_engine import OpenAIEngine
from ullage.errors import EngineError, RefusedError

KEY = "sk-test-5417"


@pytest.fixture
def serve(monkeypatch):
    monkeypatch.setenv("TEST_KEY", KEY)
    servers = []

    def start(behave, **options):
        servers.append(Server(behave))
        settings = {"base_url": servers[-1].url, "key_env": "TEST_KEY", "retries": 2, **options}
        return OpenAIEngine("served", Settings(**settings)), servers[-1]

    yield start
    for server in servers:
        server.http.shutdown()


def echo(body, seen):
    return 200, completion(body["messages"][-1]["content"].upper())


def test_replies_come_in_order_with_their_probabilities(serve):
    engine, server = serve(echo)
    prompts = [f"number {n}" for n in range(20)]
    replies = engine.generate(prompts, Sampling(8, 0.5, stop=("\n",)), list(range(20)))
    assert [reply.text for reply in replies] == [prompt.upper() for prompt in prompts]
    assert "".join(replies[0].pieces) == replies[0].text
    assert len(replies[0].logprobs) == len(replies[0].pieces) == len(replies[0].offsets)
    assert server.keys == {f"Bearer {KEY}"}
    asked = server.requests[0]
    assert (asked["max_tokens"], asked["temperature"], asked["stop"]) == (8, 0.5, ["\n"])
    assert {body["seed"] for body in server.requests} == set(range(20))
    assert (engine.usage.requests, engine.usage.prompt_tokens) == (20, 140)


def test_no_more_requests_at_once_than_allowed(serve):
    def slow(body, seen):
        time.sleep(0.05)
        return echo(body, seen)

    engine, server = serve(slow, concurrency=3)
    engine.generate([str(n) for n in range(12)], Sampling(2), [0] * 12)
    assert 2 <= server.most <= 3


def test_requests_keep_the_pace(serve, monkeypatch):
    waited = []
    clock = SimpleNamespace(monotonic=lambda: 100.0, sleep=waited.append)
    monkeypatch.setattr("ullage.engines.pace.time", clock)
    engine, _ = serve(echo, requests_per_minute=600)
    engine.generate([str(n) for n in range(6)], Sampling(2), [0] * 6)
    assert sorted(waited) == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4, 0.5])


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_server_that_is_busy_is_asked_again(serve, status):
    engine, server = serve(lambda body, seen: echo(body, seen) if seen > 2 else (status, {"error": {}}))
    (reply,) = engine.generate(["hello"], Sampling(4), [0])
    assert reply.text == "HELLO"
    assert len(server.requests) == 3


def test_what_stays_broken_is_a_failure_in_its_place(serve):
    def behave(body, seen):
        said = body["messages"][-1]["content"]
        if said == "busy":
            return 500, {"error": {"message": "no"}}
        if said == "cut":
            return 200, json.dumps(completion("half"))[:90].encode()
        if said == "empty":
            return 200, {"choices": [], "usage": None}
        return echo(body, seen)

    engine, _ = serve(behave, retries=1)
    replies = engine.generate(["fine", "busy", "cut", "empty", "good"], Sampling(4), [0] * 5)
    assert [isinstance(reply, Failure) for reply in replies] == [False, True, True, True, False]
    assert "HTTP 500" in replies[1].reason
    assert "not a completion" in replies[2].reason
    assert all("busy" not in reply.reason for reply in replies if isinstance(reply, Failure))


def test_a_server_that_hangs_is_left_after_the_timeout(serve):
    def hang(body, seen):
        time.sleep(3)
        return echo(body, seen)

    engine, _ = serve(hang, timeout_seconds=0.2, retries=0)
    (reply,) = engine.generate(["hello"], Sampling(4), [0])
    assert isinstance(reply, Failure)
    assert "Timeout" in reply.reason


@pytest.mark.parametrize("status", [401, 402, 403, 404])
def test_what_no_retry_mends_stops_at_once_and_tells_no_key(serve, status):
    engine, server = serve(lambda body, seen: (status, {"error": {"message": f"wrong key {KEY}"}}))
    with pytest.raises(EngineError, match=f"HTTP {status}") as error:
        engine.generate(["hello"], Sampling(4), [0])
    assert KEY not in str(error.value)
    assert len(server.requests) == 1


def test_choices_are_weighed_by_the_tokens_that_begin_them(serve):
    top = [("yes", -0.4), (" Yes", -1.5), ("no", -3.0), ("maybe", -4.0)]
    engine, _ = serve(lambda body, seen: (200, completion("y", top)))
    (scores,) = engine.score(["is it?"], ["yes", "no", "never"])
    assert scores[0] == pytest.approx(math.log(math.exp(-0.4) + math.exp(-1.5)))
    assert scores[1] == pytest.approx(-3.0)
    assert scores[2] == -math.inf


def test_no_choice_among_the_likeliest_is_a_failure_not_a_no(serve):
    engine, _ = serve(lambda body, seen: (200, completion("?", [("what", -0.1)])))
    (found,) = engine.score(["is it?"], ["yes", "no"])
    assert isinstance(found, Failure)
    assert "none of yes, no" in found.reason


def test_a_hosted_model_needs_a_key(monkeypatch):
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    with pytest.raises(EngineError, match="set the environment variable NO_SUCH_KEY"):
        OpenAIEngine("gpt", Settings(key_env="NO_SUCH_KEY"))


def test_a_prompt_the_server_will_not_read_is_a_failure_with_its_words(serve):
    def behave(body, seen):
        if body["messages"][-1]["content"] == "long":
            return 400, {"error": {"message": f"maximum context length is 9, says {KEY}"}}
        return echo(body, seen)

    engine, server = serve(behave)
    replies = engine.generate(["fine", "long", "good"], Sampling(4), [0] * 3)
    assert [isinstance(reply, Failure) for reply in replies] == [False, True, False]
    assert replies[1].reason == "HTTP 400: maximum context length is 9, says ***"
    assert len(server.requests) == 3


def test_a_reason_repeats_nothing_of_the_prompt(serve):
    secret = "My phone is 555-0199, and I live in Drosa."

    def behave(body, seen):
        return 400, {"detail": [{"msg": f"Input should be short, not '{body['messages'][0]['content']}'"}]}

    engine, _ = serve(behave)
    (reply,) = engine.generate([secret], Sampling(4), [0])
    assert reply.reason == "HTTP 400: Input should be short, not '…'"


def test_one_prompt_is_refused_as_others_are_answered(serve):
    def behave(body, seen):
        if body["messages"][-1]["content"] == "rude":
            return 403, {"error": {"message": "flagged"}}
        return echo(body, seen)

    engine, _ = serve(behave)
    replies = engine.generate(["fine", "rude"], Sampling(4), [0] * 2)
    assert replies[1] == Failure("HTTP 403: flagged")
    assert engine.generate(["rude"], Sampling(4), [0]) == [Failure("HTTP 403: flagged")]


def test_a_server_that_never_answers_is_not_asked_for_ever(serve):
    engine, server = serve(lambda body, seen: (400, {"error": {"message": "no such option: seed"}}))
    batches = [[f"{at}-{n}" for n in range(8)] for at in range(13)]
    for batch in batches[:12]:
        engine.generate(batch, Sampling(4), [0] * 8)
    with pytest.raises(RefusedError, match="the server refuses: HTTP 400: no such option: seed"):
        engine.generate(batches[12], Sampling(4), [0] * 8)
    assert len(server.requests) == 104


def test_a_model_that_wants_the_newer_limit_gets_it(serve):
    def behave(body, seen):
        if "max_tokens" in body:
            said = "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
            return 400, {
                "error": {"message": said + "'max_completion_tokens' instead.", "param": "max_tokens"}
            }
        assert body["max_completion_tokens"] == 8
        return echo(body, seen)

    engine, server = serve(behave, concurrency=1)
    replies = engine.generate(["one", "two"], Sampling(8), [0, 0])
    assert [reply.text for reply in replies] == ["ONE", "TWO"]
    assert len(server.requests) == 3


def test_a_model_without_probabilities_still_answers(serve):
    def behave(body, seen):
        if "logprobs" in body:
            return 400, {"error": {"message": "'logprobs' is not supported with this model."}}
        answer = echo(body, seen)[1]
        answer["choices"][0]["logprobs"] = None
        return 200, answer

    engine, server = serve(behave, concurrency=1)
    replies = engine.generate(["one", "two"], Sampling(8), [0, 0])
    assert [(reply.text, reply.logprobs) for reply in replies] == [("ONE", ()), ("TWO", ())]
    assert len(server.requests) == 3
    (found,) = engine.score(["is it?"], ["yes", "no"])
    assert found == Failure("HTTP 400: 'logprobs' is not supported with this model.")
