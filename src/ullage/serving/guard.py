"""Who may come in: hosts, tokens, sizes and times, before anything of a request is read as what it says."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import secrets
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from ullage.serving.refusal import Refusal, ended

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Form = Callable[[Scope, Refusal], tuple[str, bytes]]
"""A refusal in the form that a request asks for: the kind of its body, and the body."""

LOCAL: Final = frozenset({"localhost", "127.0.0.1", "::1"})
SENT: Final = "Authorization: Bearer TOKEN"
"""How a program brings a token."""


@dataclass(frozen=True, slots=True)
class Door:
    """`hosts` are the names that may stand in a request's Host; numeric addresses may too where `numeric`.
    `token` None asks for none; who brings none is told that it `comes` so, but at paths that are `open`;
    those `by_any_name` ask for neither token nor Host. `largest` is a body's bytes, `reading` its seconds."""

    hosts: frozenset[str]
    numeric: bool
    token: str | None
    largest: int
    reading: float
    open: frozenset[str] = frozenset()
    by_any_name: frozenset[str] = frozenset()
    comes: str = SENT


def door(address: str, token: str | None, hosts: Collection[str], largest: int, reading: float) -> Door:
    """For a server bound to `address`: names of this machine's loopback, and `hosts`.

    A page of another site can have its own name lead here, but cannot name an address or this machine: a
    Host that is neither is what tells it.
    """
    return Door(
        frozenset({*LOCAL, address.lower(), *(host.lower() for host in hosts)}),
        not is_loopback(address),
        token,
        largest,
        reading,
    )


def is_loopback(address: str) -> bool:
    """Whether nobody else reaches it."""
    if address.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def as_json(scope: Scope, refusal: Refusal) -> tuple[str, bytes]:
    """What programs read."""
    return "application/json", json.dumps(refusal.body).encode()


class Guard:
    """Lets requests through to `app` whose body is there, whole."""

    def __init__(self, app: App, door: Door, told: Callable[[str, int], None], form: Form = as_json) -> None:
        """`told` is told the path and the status of every answer; `form` is that of refusals."""
        self._app, self._door, self._told, self._form = app, door, told, form

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        begun = False

        async def told(message: MutableMapping[str, Any]) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                self._told(getattr(scope.get("route"), "path", "none"), message["status"])
            await send(message)

        old = scope.get("http_version") == "1.0"
        try:
            await self._let_in(scope, receive, _at_once(told) if old else told)
        except asyncio.CancelledError:  # the server ends, and has waited as long as it does
            if begun:
                raise
            await refuse(ended(), told, self._form(scope, ended()))

    async def _let_in(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = {name.lower(): value for name, value in scope["headers"]}
        coming = _Coming(receive)
        try:
            self._check(scope, headers)
            body = await asyncio.wait_for(self._body(headers, coming.next), self._door.reading)
        except TimeoutError:
            said = f"its body did not come within {self._door.reading:g} s"
            late = Refusal(408, said, "request_timeout")
            await refuse(late, send, self._form(scope, late))
        except Refusal as refusal:
            waits = b"expect" in headers  # to be told to go on, and sends no body now
            form = self._form(scope, refusal)
            await refuse(refusal, send, form, None if waits else coming, self._door.reading)
        except ConnectionError:
            return
        else:
            await self._app(scope, _whole(body, receive), send)

    def _check(self, scope: Scope, headers: dict[bytes, bytes]) -> None:
        if scope["path"] in self._door.by_any_name:
            return
        host = _host(headers.get(b"host", b"").decode("latin-1"))
        if host not in self._door.hosts and not (self._door.numeric and _numeric(host)):
            said = f"host {host[:100]!r} is not served here; the server's --allow-host names more"
            raise Refusal(400, said, "host_not_allowed")
        if self._door.token is None or scope["path"] in self._door.open:
            return
        kind, _, given = headers.get(b"authorization", b"").partition(b" ")
        known = secrets.compare_digest(given.strip(), self._door.token.encode())
        if kind.lower() != b"bearer" or not known:
            raise Refusal(401, f"no token, or another one: {self._door.comes}", "invalid_api_key")

    async def _body(self, headers: dict[bytes, bytes], receive: Receive) -> bytes:
        said = headers.get(b"content-length", b"")
        if said.isdigit() and int(said) > self._door.largest:
            raise self._too_large()
        parts, size = [], 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ConnectionError
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > self._door.largest:
                raise self._too_large()
            if not message.get("more_body", False):
                return b"".join(parts)

    def _too_large(self) -> Refusal:
        said = f"a body has at most {self._door.largest:,} bytes here"
        return Refusal(413, said, "request_too_large")


class _Coming:
    """A body as it comes; `ended`: all of it is there."""

    def __init__(self, receive: Receive) -> None:
        self._receive, self.ended = receive, False

    async def next(self) -> MutableMapping[str, Any]:
        message = await self._receive()
        self.ended = not message.get("more_body", False)
        return message

    async def rest(self) -> None:
        """What has not come yet is forgotten."""
        while not self.ended:
            await self.next()


async def refuse(
    refusal: Refusal,
    send: Send,
    said: tuple[str, bytes],
    coming: _Coming | None = None,
    seconds: float = 0.0,
) -> None:
    """Answers with a refusal, of which `said` are the kind and the body.

    Of a body that is still `coming` the rest is taken, for so many seconds, before the connection may be
    closed: else whoever sends it all first finds it broken, and never reads why. Without it, it is closed.
    """
    kind, body = said
    headers = {"Content-Type": kind, "Content-Length": str(len(body)), **refusal.headers}
    if coming is None:
        headers["Connection"] = "close"
    sent = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": refusal.status, "headers": sent})
    await send({"type": "http.response.body", "body": body, "more_body": True})
    if coming is not None:
        with suppress(TimeoutError):
            await asyncio.wait_for(coming.rest(), seconds)
    await send({"type": "http.response.body", "body": b""})


def _at_once(send: Send) -> Send:
    """Sends an answer when all of it is there, with its length: HTTP/1.0 knows no chunks."""
    begun: MutableMapping[str, Any] = {}
    parts: list[bytes] = []

    async def kept(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            begun.update(message)
            return
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            body = b"".join(parts)
            headers = [each for each in begun["headers"] if each[0].lower() != b"content-length"]
            headers.append((b"content-length", str(len(body)).encode()))
            await send({**begun, "headers": headers})
            await send({"type": "http.response.body", "body": body})

    return kept


def _whole(body: bytes, receive: Receive) -> Receive:
    """Gives the body once, then whatever comes after it: that they hung up."""
    given = False

    async def next_() -> MutableMapping[str, Any]:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return next_


def _host(said: str) -> str:
    """The name in a Host header, without its port."""
    said = said.strip().lower()
    if said.startswith("["):
        return said[1:].partition("]")[0]
    return said.rpartition(":")[0] if said.count(":") == 1 else said


def _numeric(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
