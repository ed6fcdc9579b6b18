"""Bodies that are not as long as they say, and heads without end."""

import json
import socket
import urllib.parse

import pytest

from ullage.facts.bundled import DEVELOPMENT


@pytest.fixture(scope="module")
def server(begun):
    """It holds no model."""
    with begun({"kind": "serve", "roles": {"script": {"model": DEVELOPMENT, "engine": "scripted"}}}) as found:
        yield found


POST = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


def where(server):
    found = urllib.parse.urlsplit(server.address)
    return found.hostname, found.port


def answered(server, *parts):
    """The status of what comes back, or none where the connection is broken off."""
    with socket.create_connection(where(server), timeout=20) as held:
        try:
            held.sendall(b"".join(parts))  # at once: none is left when it is refused
            return int(held.recv(2**16).split()[1])
        except ConnectionError:
            return None


@pytest.mark.parametrize(
    "head, body",
    [
        (b"Transfer-Encoding: chunked", b"zz\r\n{}\r\n0\r\n\r\n"),
        (b"Transfer-Encoding: chunked", b"-2\r\n{}\r\n0\r\n\r\n"),
        (b"Transfer-Encoding: chunked", b"1\r\n{}\r\n0\r\n\r\n"),
        (b"Transfer-Encoding: chunked\r\nContent-Length: 2", b"2\r\n{}\r\n0\r\n\r\n"),
        (b"Content-Length: 2\r\nContent-Length: 3", b"{}"),
        (b"Content-Length: +2", b"{}"),
    ],
)
def test_a_body_that_lies_about_its_length_is_refused(server, head, body):
    assert answered(server, POST, head, b"\r\nConnection: close\r\n\r\n", body) == 400


def test_a_body_in_chunks_is_a_body_and_one_cut_short_is_none(server):
    token = f"Authorization: Bearer {server.token}\r\n".encode()
    head = POST + token + b"Transfer-Encoding: chunked\r\n\r\n"
    body = json.dumps({"model": "script", "messages": [{"role": "user", "content": "Hi"}]}).encode()
    chunks = b"".join(b"1\r\n%c\r\n" % each for each in body)
    assert answered(server, head, chunks, b"0\r\n\r\n") == 200
    with socket.create_connection(where(server), timeout=20) as held:
        held.sendall(head + chunks)
        held.shutdown(socket.SHUT_WR)
        assert held.recv(2**16) == b""


@pytest.mark.parametrize(
    "first", [b"GET /health HTTP/1.1\r\nX: ", b"GET /", POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX: "]
)
def test_heads_and_trailers_without_end_are_broken_off(server, first):
    """They were read for as long as a connection may be idle: more than 100 MB."""
    sent = 0
    with socket.create_connection(where(server), timeout=20) as held:
        try:
            held.sendall(first)
            while sent < 2**25:
                sent += held.send(b"a" * 2**16)
        except ConnectionError:
            pass
    assert sent < 2**25
    assert server.client().models.list().data
