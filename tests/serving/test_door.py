"""Who is let in, and how a server begins and ends."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import urllib.parse

import pytest

import ullage
from ullage.facts.bundled import DEVELOPMENT
from ullage.runtime.opening import Options
from ullage.serving.checking import check_served
from ullage.serving.guard import is_loopback
from ullage.serving.made import plans_of
from ullage.serving.refusal import Refusal
from ullage.serving.server import Listening, listen


@pytest.fixture
def send(server):
    """One request, written by hand: its status, headers and body."""

    def sent(method, path, body=None, **headers):
        where = urllib.parse.urlsplit(server.address)
        connection = http.client.HTTPConnection(where.hostname, where.port, timeout=20)
        usual = {"Authorization": f"Bearer {server.token}", "Content-Type": "application/json"}
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, {**usual, **named})
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()

    return sent


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "192.0.2.1"])
def test_what_others_reach_takes_a_token(tmp_path, address):
    with pytest.raises(ullage.InputError, match="others reach it, so it takes a token"):
        listen(None, Listening(address))
    with pytest.raises(ullage.InputError, match="fewer than 16 characters"):
        listen(None, Listening(address, token="short"))


def test_loopback_is_told_by_the_address():
    assert all(map(is_loopback, ("127.0.0.1", "127.9.9.9", "::1", "localhost")))
    assert not any(map(is_loopback, ("0.0.0.0", "10.0.0.1", "::", "example.org", "localhost.example.org")))


def test_a_port_that_is_taken_is_told_before_anything_is_loaded():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(ullage.InputError, match="cannot be listened at"):
            listen(None, Listening(port=taken.getsockname()[1]))


@pytest.mark.parametrize("path", ["/v1/models", "/health"])
@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "localhost.evil.example", "", "[::2]"])
def test_another_sites_name_leads_nowhere(send, host, path):
    status, _, body = send("GET", path, Host=host)
    assert (status, json.loads(body)["error"]["code"]) == (400, "host_not_allowed")


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:99", "127.0.0.1:1", "[::1]:80"])
def test_loopback_has_several_names(send, host):
    assert send("GET", "/v1/models", Host=host)[0] == 200


def test_health_alone_needs_no_token(send):
    assert send("GET", "/health", Authorization="")[0] == 200
    for path in ("/v1/models", "/metrics", "/openapi.json", "/nothing"):
        status, headers, body = send("GET", path, Authorization="Bearer nothing")
        assert (status, headers["WWW-Authenticate"]) == (401, "Bearer")
        assert json.loads(body)["error"]["code"] == "invalid_api_key"


def test_a_body_that_is_too_large_is_not_read(serving):
    with serving({"script": {"model": DEVELOPMENT, "engine": "scripted"}}, largest_body=1000) as server:
        where = urllib.parse.urlsplit(server.address)
        headers = {"Authorization": f"Bearer {server.token}", "Content-Type": "application/json"}
        for body in (b"x" * 1001, iter([b"x" * 600, b"x" * 600])):
            connection = http.client.HTTPConnection(where.hostname, where.port, timeout=20)
            connection.request("POST", "/v1/embeddings", body, headers)
            answer = connection.getresponse()
            assert answer.status == 413
            assert json.load(answer)["error"]["code"] == "request_too_large"


def test_a_body_that_does_not_come_is_not_waited_for(serving):
    with serving({"script": {"model": DEVELOPMENT, "engine": "scripted"}}, body_seconds=0.3) as server:
        where = urllib.parse.urlsplit(server.address)
        with socket.create_connection((where.hostname, where.port), timeout=20) as slow:
            head = f"POST /v1/embeddings HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {server.token}"
            slow.sendall(f"{head}\r\nContent-Length: 10\r\n\r\n{{".encode())
            assert b" 408 " in slow.recv(65536)


@pytest.mark.parametrize("body", [b"", b"nothing", b"[]", b"\xff\xfe", b'{"model": "writer"', b"null"])
def test_what_is_no_request_is_told_in_the_form_that_clients_read(send, body):
    status, _, said = send("POST", "/v1/chat/completions", body)
    assert status == 400
    assert set(json.loads(said)["error"]) == {"message", "type", "param", "code"}


@pytest.mark.parametrize(
    "status, again, said", [(504, 0, "false"), (502, 0, "false"), (503, 5, None), (429, 5, None)]
)
def test_the_client_asks_again_by_itself_where_waiting_helps_alone(status, again, said):
    """ROCm/ATOM 1441: requests that clients sent again and again piled up."""
    assert Refusal(status, "why", "code", again=again).headers.get("x-should-retry") == said


HALF = '"\\ud800"'
"""Half of a character, which JSON may spell and UTF-8 may not."""


@pytest.mark.parametrize(
    "more",
    [
        {"messages": [{"role": "user", "content": "HALF"}]},
        {"HALF": 1},
        {"model": "HALF"},
        {"user": "HALF"},
        {"tools": [{"type": "function", "function": {"name": "x", "parameters": {"a": "HALF"}}}]},
        {"tools": [{"type": "function", "function": {"name": "x", "parameters": {"HALF": 1}}}]},
    ],
)
def test_halves_of_characters_are_refused(send, more):
    good = {"model": "writer", "messages": [{"role": "user", "content": "Hello"}]}
    body = json.dumps(good | more).replace('"HALF"', HALF).encode()
    status, _, said = send("POST", "/v1/chat/completions", body)
    assert (status, set(json.loads(said))) == (400, {"error"})


def test_a_path_that_is_not_there_is_told_so_too(send):
    status, _, said = send("GET", "/v1/nothing")
    assert (status, json.loads(said)["error"]["type"]) == (404, "not_found_error")
    assert send("GET", "/v1/chat/completions")[0] == 405


def test_what_never_fits_is_refused_at_the_start_with_what_would(tmp_path):
    path = tmp_path / "large.json"
    roles = {"one": {"model": "ullage:tiny"}, "two": {"model": "ullage:tiny"}}
    work = {"prompt_tokens": 100, "new_tokens": 8, "budget": {"gpus": "1x(cpu, 4MiB)"}}
    path.write_text(json.dumps({"kind": "serve", "roles": roles, **work}))
    with pytest.raises(ullage.DoesNotFitError, match="do not fit, however they take turns") as refused:
        plans_of(str(path))
    assert "would fit: " in str(refused.value)


@pytest.mark.parametrize("kind", ["assistant", "evaluate"])
def test_the_roles_of_any_kind_are_planned_to_be_served(kind, tmp_path):
    path = tmp_path / "file.json"
    names = {"assistant": ("router", "voice", "helper"), "evaluate": ("generator", "judge")}[kind]
    roles = {name: {"model": "ullage:tiny"} for name in names}
    path.write_text(json.dumps({"kind": kind, "roles": roles, "prompt_tokens": 100, "new_tokens": 8}))
    made = plans_of(str(path), "cpu").roles
    assert (made.workload.kind, set(made.roles)) == ("serve", set(names))


def test_a_plan_that_was_written_down_is_served(tmp_path):
    from ullage.planning.document import plan_document

    path = tmp_path / "file.json"
    work = {"prompt_tokens": 100, "new_tokens": 8}
    path.write_text(json.dumps({"kind": "serve", "roles": {"writer": {"model": "ullage:tiny"}}, **work}))
    made = plans_of(str(path), "cpu").roles
    written = tmp_path / "plan.json"
    written.write_text(json.dumps(plan_document(made)))
    assert plans_of(str(written)).roles == made


def test_a_check_asks_every_role_once(server):
    lines = check_served(server.plan, Listening(), Options(quiet=True))
    assert [line.partition(":")[0] for line in lines] == ["writer", "eye", "painter", "script"]


@pytest.mark.long
def test_a_signal_ends_it_after_who_is_there_was_answered(tmp_path):
    """In a process of its own, as signals are."""
    path = tmp_path / "file.json"
    roles = {"script": {"model": DEVELOPMENT, "engine": "scripted"}, "writer": {"model": "ullage:tiny"}}
    path.write_text(json.dumps({"kind": "serve", "roles": roles, "prompt_tokens": 300, "new_tokens": 8}))
    command = [sys.executable, "-m", "ullage", "serve", str(path), "--port", "0", "--gpus", "cpu"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**os.environ})
    try:
        line = next(line for line in process.stderr if "serves at" in line)
        where = urllib.parse.urlsplit(line.split()[-1])
        found = []

        def ask():
            connection = http.client.HTTPConnection(where.hostname, where.port, timeout=60)
            body = {"model": "writer", "messages": [{"role": "user", "content": "Where is the cat?"}]}
            connection.request(
                "POST", "/v1/chat/completions", json.dumps(body), {"Content-Type": "application/json"}
            )
            answering.set()
            found.append(connection.getresponse().status)

        answering = threading.Event()
        thread = threading.Thread(target=ask)
        thread.start()  # at once: its role is still being loaded
        answering.wait()
        connection = http.client.HTTPConnection(where.hostname, where.port, timeout=60)
        connection.request("GET", "/health")
        assert connection.getresponse().status == 200
        process.send_signal(signal.SIGTERM)
        thread.join()
        assert found == [200]
        assert process.wait(60) == 0
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((where.hostname, where.port))
    finally:
        process.kill()
        process.stderr.close()
        process.wait()
