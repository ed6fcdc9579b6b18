"""Clients that mean no good: floods, slow ones, texts without end; and settings that cannot be."""

import asyncio
import base64
import io
import json
import math
import socket
import threading
import urllib.parse
import urllib.request
from types import SimpleNamespace

import openai
import pytest

import ullage
from ullage.engines.engine import Ask, Reply, Sampling
from ullage.facts.bundled import DEVELOPMENT
from ullage.runtime.opening import Options
from ullage.serving.desk import BEGUN, Job
from ullage.serving.idle import Idle
from ullage.serving.lending import open_lending
from ullage.serving.made import plans_of
from ullage.serving.server import Listening, check

SCRIPT = {"script": {"model": DEVELOPMENT, "engine": "scripted"}}


def connect(server):
    where = urllib.parse.urlsplit(server.address)
    return socket.create_connection((where.hostname, where.port), timeout=20)


def post(server, path, body, **headers):
    """Status, error or answer, and headers."""
    usual = {"Authorization": f"Bearer {server.token}", "Content-Type": "application/json"}
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(server.address + path, data, usual | headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)["error"]


def test_connections_that_ask_nothing_are_closed(serving):
    """Each held a file descriptor for ever: a thousand of them, and nobody else came in."""
    with serving(SCRIPT, body_seconds=0.5) as server:
        silent, half, trickle = connect(server), connect(server), connect(server)
        half.sendall(b"POST /v1/chat/comp")
        head = f"POST /v1/embeddings HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {server.token}\r\n"
        trickle.sendall(f"{head}Content-Length: 10\r\n\r\n{{".encode())
        with silent, half, trickle:
            assert silent.recv(1000) == half.recv(1000) == b""
            said = trickle.recv(10_000)
            assert b" 408 " in said
            assert b"connection: close" in said.lower()
            assert trickle.recv(1000) == b""
        assert server.client().models.list().data


class Closed:
    def __init__(self, cycle=None):
        self.cycle, self.open, self.transport = cycle, True, self

    def close(self):
        self.open = False


def test_a_connection_that_is_used_is_not_idle():
    idle, done = Idle(10), SimpleNamespace(response_complete=True)
    used, unused, busy = Closed(done), Closed(done), Closed(SimpleNamespace(response_complete=False))
    for now in range(0, 30, 2):
        used.cycle = SimpleNamespace(response_complete=True)
        idle.close({used, unused, busy}, now)
    assert (used.open, unused.open, busy.open) == (True, False, True)


def test_who_sends_too_much_is_told_so(serving):
    """A body was cut off in the middle, and the answer to it was lost: clients saw a broken connection."""
    with serving(SCRIPT, largest_body=100_000) as server:
        assert post(server, "/v1/embeddings", b"x" * 30_000_000)[0] == 413


@pytest.mark.parametrize("text", ["a b" * 5_000_000, "a" * 15_000_000], ids=["words", "word"])
def test_texts_without_end_are_not_counted(server, text):
    """Each of these took half a minute in which nobody was answered, and left a gigabyte in memory."""
    said = [{"role": "user", "content": text}]
    for path, body, param in (
        ("chat/completions", {"messages": said}, "messages"),
        ("embeddings", {"input": text}, "input"),
        ("states", {"text": text}, "text"),
    ):
        status, error = post(server, f"/v1/{path}", {"model": "writer", **body})
        assert (status, error["code"], error["param"]) == (400, "context_length_exceeded", param)
        assert "characters" in error["message"]
    assert post(server, "/v1/images/generations", {"model": "painter", "prompt": text})[0] == 400


def test_a_long_text_is_told_what_it_takes(server):
    status, error = post(server, "/v1/embeddings", {"model": "writer", "input": ["x", "word " * 1000]})
    assert (status, error["param"]) == (400, "input")
    assert "tokens, and the role is planned for prompts of 200" in error["message"]


@pytest.mark.parametrize("temperature", [5e-324, 1e-300, 1e-40])
def test_the_coldest_draw_is_the_likeliest(server, temperature):
    """Divided by so little a logit is no number any more: one role wrote nonsense, the other failed."""
    from PIL import Image

    client, png = server.client().chat.completions, io.BytesIO()
    Image.new("RGB", (64, 48)).save(png, "PNG")
    url = f"data:image/png;base64,{base64.b64encode(png.getvalue()).decode()}"
    seen = [{"type": "text", "text": "What is it?"}, {"type": "image_url", "image_url": {"url": url}}]
    for model, content in (("writer", "Where is the cat?"), ("eye", seen)):
        said = {"model": model, "messages": [{"role": "user", "content": content}]}
        cold = client.create(**said, temperature=temperature).choices[0].message.content
        assert cold == client.create(**said, temperature=0).choices[0].message.content


def test_an_answer_is_taken_back_with_all_of_its_nulls(server):
    """What `model_dump()` makes of an answer stands in the next request, nulls and all."""
    client = server.client().chat.completions
    said = [{"role": "user", "content": "Hello"}]
    message = client.create(model="writer", messages=said).choices[0].message
    said += [message.model_dump(), {"role": "user", "content": "And then?"}]
    assert client.create(model="writer", messages=said).choices[0].message.content is not None


def test_what_changes_nothing_is_taken(server):
    harmless = {"safety_identifier": "a", "prompt_cache_key": "b", "service_tier": "auto"}
    client = server.client()
    assert client.responses.create(model="writer", input="Hello", **harmless).output_text
    parts = client.chat.completions.create(
        model="writer",
        messages=[{"role": "user", "content": "Hello"}],
        stream=True,
        stream_options={"include_usage": True, "include_obfuscation": False},
        logit_bias={},
        **harmless,
    )
    assert [*parts]
    with pytest.raises(openai.BadRequestError, match="logit_bias"):
        client.chat.completions.create(
            model="writer", messages=[{"role": "user", "content": "Hello"}], logit_bias={"5": 1}
        )


def test_a_body_of_another_type_is_told_which_to_send(server):
    """curl -d without a header: what was said of it was that it is no dictionary. A page of another site can
    send no other than such."""
    body = {"model": "writer", "messages": [{"role": "user", "content": "Hello"}]}
    for kind in ("application/x-www-form-urlencoded", "text/plain"):
        status, error = post(server, "/v1/chat/completions", body, **{"Content-Type": kind})
        assert (status, error["code"]) == (400, "invalid_content_type")
        assert "Content-Type: application/json" in error["message"]


@pytest.mark.parametrize(
    "setting",
    [
        {"answer_seconds": math.nan},
        {"answer_seconds": -1.0},
        {"drain_seconds": math.inf},
        {"drain_seconds": -5.0},
        {"largest_body": 0},
        {"hosts": ("http://box/",)},
        {"hosts": ("box:8080",)},
        {"hosts": ("",)},
    ],
    ids=str,
)
def test_settings_that_cannot_be_are_refused(setting):
    with pytest.raises(ullage.InputError, match=r"^--"):
        check(Listening(**setting))


@pytest.mark.parametrize(
    "token", ["gehei\u00dfes-wort-und-noch-mehr", "sixteen characters\nand a line", "x" * 15]
)
def test_a_token_that_no_header_carries_or_that_is_short_is_refused(token):
    with pytest.raises(ullage.InputError, match="openssl rand"):
        check(Listening(token=token))


def test_who_reads_slowly_keeps_no_role_from_others(tmp_path):
    """Its loan lasted until it had read its answer, and a role that was to take its place waited for that."""
    path, work = tmp_path / "file.json", {"prompt_tokens": 60, "new_tokens": 5, "budget": {"gpus": "cpu"}}
    path.write_text(json.dumps({"kind": "serve", "roles": {"writer": {"model": "ullage:tiny"}}, **work}))

    async def leases():
        job = Job(Ask(({"role": "user", "content": "Where is the cat?"},), 5), Sampling(5))
        events = lending.desks["writer"].answer(job)
        assert await anext(events) == BEGUN  # and no more is read
        found = []
        for _ in range(200):
            found.append(lending.pool.snapshot().roles[0].leases)
            if not found[-1]:
                break
            await asyncio.sleep(0.05)
        assert isinstance([each async for each in events][-1], Reply)
        return found

    with open_lending(plans_of(str(path)), Options(quiet=True)) as lending:
        assert asyncio.run(leases())[-1] == 0


def test_two_clients_of_roles_that_drive_each_other_out_are_answered_by_theirs(begun, endless_folder):
    """Both have to be brought again and again; nobody waits for ever, and nobody is answered by the other."""
    roles = {"small": {"model": "ullage:tiny"}, "other": {"model": str(endless_folder)}}
    work = {"prompt_tokens": 60, "new_tokens": 6, "batch": 4, "schedule": "swapped"}
    with begun({"kind": "serve", "roles": roles, "budget": {"gpus": "1x(cpu, 26MiB)"}, **work}) as server:
        client = server.client(timeout=100)

        def ask(name):
            said = [{"role": "user", "content": "Where is the cat?"}]
            return client.chat.completions.create(model=name, messages=said).choices[0].message.content

        alone = {name: ask(name) for name in roles}
        assert alone["small"] != alone["other"]
        found = []

        def many(at):
            for turn in range(3):
                name = [*roles][(at + turn) % 2]
                found.append(ask(name) == alone[name])

        threads = [threading.Thread(target=many, args=(at,)) for at in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)
        assert found == [True] * 60
        where = {each.id: each.model_dump()["ullage"]["where"] for each in client.models.list()}
        assert sum(each == "device" for each in where.values()) == 1


def test_a_whole_whose_roles_fit_in_their_turns_alone_is_served_so(tmp_path):
    """It was to hold its voice, and wait for a specialist that had no room beside it, without an end."""
    roles = {name: {"model": "ullage:tiny"} for name in ("router", "voice", "pragmatist", "philosopher")}
    roles["router"]["new_tokens"] = 1
    work = {"prompt_tokens": 200, "new_tokens": 32, "batch": 4, "budget": {"gpus": "2x(cpu, 44MiB)"}}
    path = tmp_path / "file.json"
    path.write_text(json.dumps({"kind": "assistant", "roles": roles, **work}))
    assert set(plans_of(str(path)).roles.staying()) >= {"router", "voice"}
