"""What servers of the same protocol were reported to do, rebuilt small; each names a report."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.parse
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import openai
import pytest

from ullage.engines.engine import Reply
from ullage.serving.chats import said_back

SPEAKING = "Rewrite the answer in the first person. The boat number {} is red and is with Ann and Ben."


def asked(text, role="user"):
    return [{"role": role, "content": text}]


def raw(server, text, *, read=True, body=b""):
    """A socket on which a request was written by hand; all that comes back, or the socket still open."""
    where = urllib.parse.urlsplit(server.address)
    held = socket.create_connection((where.hostname, where.port), timeout=30)
    held.sendall(text.replace("\n", "\r\n").encode() + body)
    if not read:
        return held
    with held:
        parts = []
        while part := held.recv(65536):
            parts.append(part)
    return b"".join(parts)


def head(server, body, version="1.1", more=""):
    return (
        f"POST /v1/chat/completions HTTP/{version}\nHost: localhost\nauthorization: bEaReR {server.token}\n"
        f"CONTENT-TYPE: application/json\ncontent-length: {len(body)}\n{more}\n"
    )


def chat(**more):
    return json.dumps({"model": "writer", "messages": asked(SPEAKING.format(1)), **more}).encode()


def metric(server, name):
    request = urllib.request.Request(
        f"{server.address}/metrics", headers={"Authorization": f"Bearer {server.token}"}
    )
    with urllib.request.urlopen(request) as answer:
        lines = answer.read().decode().splitlines()
    return next(float(line.split()[-1]) for line in lines if line.startswith(name + " "))


def until(true, seconds=10.0):
    end = time.monotonic() + seconds
    while not true() and time.monotonic() < end:
        time.sleep(0.02)
    return true()


def test_usage_stands_alone_in_the_last_part_and_is_null_before(server):
    """BerriAI/litellm 8450, 9657, 28735: other parts said nothing of usage, and the last had a choice."""
    parts = server.client().chat.completions.create(
        model="writer", messages=asked("Hello"), stream=True, stream_options={"include_usage": True}
    )
    *others, last = [each.model_dump(exclude_unset=True) for each in parts]
    assert last["choices"] == []
    assert last["usage"]["total_tokens"] > 0
    assert all(each["usage"] is None and len(each["choices"]) == 1 for each in others)


def test_a_message_without_words_is_taken_where_it_called_a_tool(server):
    """open-webui 12441, docker-agent 63: `content: null` of a call that comes back was refused."""
    call = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
    said = [
        *asked("How is the weather?"),
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": [{"type": "text", "text": "rain"}]},
    ]
    for model in ("writer", "script"):
        assert server.client().chat.completions.create(model=model, messages=said).choices[0].message.content


def test_a_system_message_that_a_template_refuses_is_no_failure_of_the_server(serving, endless_folder):
    """mistral.rs 506: 500 without a body where a template raises."""
    path = endless_folder / "chat_template.jinja"
    template = path.read_text()
    said = "{% if messages[0].role == 'system' %}{{ raise_exception('no system here') }}{% endif %}"
    path.write_text(said + template)
    try:
        with serving({"strict": {"model": str(endless_folder)}}) as server:
            messages = [*asked("Be brief.", "system"), *asked("Hello")]
            for stream in (False, True):
                with pytest.raises(openai.BadRequestError, match="no system here"):
                    server.client().chat.completions.create(model="strict", messages=messages, stream=stream)
    finally:
        path.write_text(template)


def test_no_part_of_a_stream_holds_half_a_character(server):
    """lucebox 641: a character of several tokens came as replacement characters."""
    client = server.client().chat.completions
    for seed in range(6):
        ask = {"model": "writer", "messages": asked("Say é, 日本 and 🌍"), "temperature": 2, "seed": seed}
        whole = client.create(**ask).choices[0].message.content
        parts = [part.choices[0].delta.content or "" for part in client.create(**ask, stream=True)]
        assert "".join(parts) == whole
        assert sum(part.count("\ufffd") for part in parts) == whole.count("\ufffd")


def test_nothing_of_a_stop_text_is_sent_before_it_is_known(server):
    """llama.cpp's server sent the beginning of a stop text that came in several tokens."""
    client = server.client().chat.completions
    ask = {"model": "writer", "messages": asked(SPEAKING.format(5))}
    whole = client.create(**ask).choices[0].message.content
    middle = len(whole) // 2
    for stop in (whole[middle : middle + 9], [whole[middle : middle + 9] + "#", whole[-6:]]):
        cut = client.create(**ask, stop=stop).choices[0]
        parts = [*client.create(**ask, stop=stop, stream=True)]
        assert "".join(part.choices[0].delta.content or "" for part in parts) == cut.message.content
        assert len(cut.message.content) < len(whole)
        assert cut.finish_reason == "stop"


def test_likeliest_tokens_that_are_spelt_alike_are_told_apart():
    """sgl-project/sglang 32290: those of one text, as parts of characters are, were one."""
    likeliest = ((("", -0.5), ("", -1.5), ("a", -2.0)),)
    reply = Reply("a", "length", 3, (7,), ("a",), ((0, 1),), (-2.0,), likeliest=likeliest)
    (found,) = said_back(reply, logprobs=True).logprobs["content"]
    told = [(other["token"], other["logprob"]) for other in found["top_logprobs"]]
    assert told == [("", -0.5), ("", -1.5), ("a", -2.0)]


def test_why_an_answer_ended_stands_in_a_part_without_text(server):
    """vllm 35705: the last part had a piece of the text too, which clients left out."""
    parts = server.client().chat.completions.create(
        model="writer", messages=asked(SPEAKING.format(1)), max_tokens=5, stream=True
    )
    *before, last = [part.choices[0] for part in parts]
    assert (last.finish_reason, last.delta.content) == ("length", None)
    assert all(choice.finish_reason is None for choice in before)


def test_the_same_question_without_a_seed_is_drawn_anew_by_each(server):
    """Blaizzy/mlx-vlm 1818: answers to one prompt, in one batch or one after the other, were the same."""
    client = server.client().chat.completions
    ask = {"model": "writer", "messages": asked(SPEAKING.format(2)), "temperature": 1.5}
    with ThreadPoolExecutor(6) as threads:
        found = [*threads.map(lambda _: client.create(**ask).choices[0].message.content, range(6))]
    assert len(set(found)) > 3


def test_who_leaves_while_waiting_leaves_the_queue(serving, endless_folder):
    """sglang 37833, ROCm/ATOM 1441: requests of clients that had gone stayed, and were answered to nobody.

    Before a stream has begun, which is when nobody has looked yet whether its client is there."""
    work = {"new_tokens": 8_000, "prompt_tokens": 50, "batch": 1}
    with serving({"writer": {"model": str(endless_folder)}}, work) as server:
        body = chat(messages=asked("go on"), stream=True)
        first = raw(server, head(server, body), read=False, body=body)
        assert until(lambda: metric(server, "ullage_answering") == 1)
        for other in (body, chat(messages=asked("go on"))):
            second = raw(server, head(server, other), read=False, body=other)
            assert until(lambda: metric(server, "ullage_waiting") == 1)
            second.close()
            assert until(lambda: metric(server, "ullage_waiting") == 0)
        first.close()
        assert until(lambda: metric(server, "ullage_answering") == 0)


def test_who_does_not_read_holds_nobody_up(server):
    """A stream to a client that is slow beside answers to others."""
    body = chat(stream=True)
    with raw(server, head(server, body), read=False, body=body):
        for number in range(3):
            server.client(timeout=20).chat.completions.create(
                model="writer", messages=asked(SPEAKING.format(number))
            )


@pytest.mark.parametrize("stream", [False, True])
def test_old_http_is_answered_and_ended(server, stream):
    """HTTP/1.0 has no chunks: a stream comes with its length. Names of headers have any case."""
    body = chat(stream=stream)
    answer = raw(server, head(server, body, "1.0"), body=body)
    assert b" 200 OK\r\n" in answer
    assert b"transfer-encoding" not in answer.lower()
    _, _, said = answer.partition(b"\r\n\r\n")
    assert said.endswith(b"data: [DONE]\n\n") if stream else json.loads(said)["choices"]


def test_a_proxy_is_told_to_pass_a_stream_on(server):
    """nginx gathers what comes until a buffer is full; many servers' streams came at once behind it."""
    body = chat(stream=True, max_tokens=1)
    answer = raw(server, head(server, body, more="Connection: close\n"), body=body)
    assert b"x-accel-buffering: no" in answer.partition(b"\r\n\r\n")[0].lower()


def test_a_connection_is_kept_for_the_next_request(server):
    body = chat(max_tokens=1)
    twice = (head(server, body).replace("\n", "\r\n").encode() + body) + (
        head(server, body, more="Connection: close\n").replace("\n", "\r\n").encode() + body
    )
    where = urllib.parse.urlsplit(server.address)
    with socket.create_connection((where.hostname, where.port), timeout=30) as held:
        held.sendall(twice)  # the second before the first was answered
        parts = []
        while part := held.recv(65536):
            parts.append(part)
    assert b"".join(parts).count(b" 200 OK\r\n") == 2


def test_who_asks_before_sending_a_body_is_told_to_go_on(server):
    """curl does so with what is large."""
    body = chat(max_tokens=1)
    with raw(server, head(server, body, more="Expect: 100-continue\n"), read=False) as held:
        assert b" 100 " in held.recv(65536)
        held.sendall(body)
        assert b" 200 OK" in held.recv(65536)


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b'{"model": ' + b'{"a":' * 50_000 + b"1" + b"}" * 50_000 + b"}",
        b'{"model": "writer", "seed": ' + b"9" * 10_000 + b"}",
        b'{"model": "writer", "messages": [{"role": "user", "content": "a"}], "temperature": NaN}',
        b'{"model": "writer", "messages": [{"role": "user", "content": "a"}], "temperature": 1e999}',
        b'{"model": "writer", "model": 3}',
        b"\x1f\x8b\x08\x00",
    ],
    ids=["deep", "deep mapping", "long number", "NaN", "infinite", "twice", "gzip"],
)
@pytest.mark.parametrize("path", ["chat/completions", "responses", "embeddings"])
def test_hostile_json_is_a_mistake_of_the_client(server, body, path):
    request = urllib.request.Request(
        f"{server.address}/v1/{path}",
        body,
        {"Authorization": f"Bearer {server.token}", "Content-Type": "application/json"},
    )
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=30)
    assert refused.value.code == 400
    assert json.load(refused.value)["error"]["message"]


def test_it_listens_at_the_other_loopback_too(serving, small_roles):
    """Addresses of IPv6 stand in brackets, in what is told and in a Host."""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    with serving({"script": small_roles["script"]}, address="::1") as server:
        assert server.address.startswith("http://[::1]:")
        assert [each.id for each in server.client().models.list()] == ["script"]


@pytest.mark.long
def test_a_signal_while_roles_are_loaded_ends_it_at_once(tmp_path):
    """vllm 17386, vllm-omni 4526: a signal during a load left processes, or was no good end."""
    path = tmp_path / "file.json"
    roles = {"writer": {"model": "ullage:tiny", "residency": "persistent"}}
    path.write_text(json.dumps({"kind": "serve", "roles": roles, "prompt_tokens": 300, "new_tokens": 8}))
    command = [sys.executable, "-m", "ullage", "serve", str(path), "--port", "0", "--gpus", "cpu"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**os.environ})
    lines = []
    try:
        assert any("serves at" in line for line in process.stderr)
        process.send_signal(signal.SIGTERM)
        reading = threading.Thread(target=lambda: lines.extend(process.stderr))
        reading.start()
        assert process.wait(30) == 0
        reading.join()
        assert "Traceback" not in "".join(lines)
    finally:
        process.kill()
        process.stderr.close()
        process.wait()
