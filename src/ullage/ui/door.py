"""What stands before the pages: whose request it is, and what every answer allows a browser to do."""

from __future__ import annotations

import re
from base64 import b64encode
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import MutableMapping
from dataclasses import replace
from hashlib import sha256
from typing import Any, Final
from urllib.parse import parse_qs, quote, unquote, urlsplit

from ullage.reports.pages.html import script
from ullage.serving.guard import SENT, App, Door, Guard, Receive, Scope, Send, refuse
from ullage.serving.refusal import Refusal
from ullage.ui.refused import refused

LARGEST_BODY: Final = 2**20
"""Bytes of a request's body."""
COOKIE: Final = "ullage_token"
ENTER: Final = "/enter"
"""Where a browser, which can send no header of its own, brings the token once: `/enter?token=TOKEN`."""
STYLES: Final = frozenset({"/static/page.css", "/static/planner.css"})
"""What a refusal's own page is drawn with: the same for everybody."""
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'; frame-src 'self'"
)
_DIGEST: Final = b64encode(sha256(script().encode()).digest()).decode()
_REPORT_POLICY: Final = (
    f"default-src 'none'; script-src 'sha256-{_DIGEST}'; style-src 'unsafe-inline'; img-src data:; "
    "base-uri 'none'; frame-ancestors 'self'"
)
_UTF_16: Final = (BOM_UTF16_BE, BOM_UTF16_LE)
"""Beginnings by which a browser reads a page otherwise than its headers say."""
HEADERS: Final = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


def guarded(app: App, door: Door, root: str = "") -> App:
    """`app`, which is mounted at `root`, behind what every request passes."""
    door = replace(door, by_any_name=STYLES, comes=f"open {root}{ENTER}?token=TOKEN once, or send {SENT}")
    guard = Guard(app, door, lambda path, status: None, refused)
    return _Headers(_Origins(_Cookies(guard, door)))


def report_policy(page: bytes) -> str:
    """Of a run's own page, which is shown as it was written: it belongs to no site, and runs no script but
    the one of our own lists.

    Where that one may run, a browser also obeys `<meta http-equiv="refresh">` and leaves, so a page that
    could have it runs none.
    """
    leaves = page.startswith(_UTF_16) or re.search(rb"http-equiv", page, re.IGNORECASE)
    return f"sandbox{'' if leaves else ' allow-scripts'}; {_REPORT_POLICY}"


class _Headers:
    """Answers with the headers that they do not have."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def sent(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                held = {name.lower() for name, _ in message["headers"]}
                more = {"content-security-policy": POLICY, **HEADERS}
                message["headers"] = [
                    *message["headers"],
                    *(
                        (name.encode(), value.encode())
                        for name, value in more.items()
                        if name.encode() not in held
                    ),
                ]
            await send(message)

        await self._app(scope, receive, sent)


class _Origins:
    """No page of another site asks anything here: not by a form, a link or a script of its own."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            headers = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
            origin = headers.get(b"origin")
            foreign = origin is not None and _netloc(origin) != headers.get(b"host", "")
            elsewhere = headers.get(b"sec-fetch-site", "none") not in ("none", "same-origin")
            followed = headers.get(b"sec-fetch-mode") == "navigate" and scope["method"] == "GET"
            if foreign or (elsewhere and not followed):
                refusal = Refusal(403, "another site's page asks nothing here", "origin_not_allowed")
                await refuse(refusal, send, refused(scope, refusal))
                return
        await self._app(scope, receive, send)


class _Cookies:
    """A token that came once by the address comes back in a cookie, which no script reads and no other site
    sends; to who guards it is the header that it stands for."""

    def __init__(self, app: App, door: Door) -> None:
        self._app, self._door = app, door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or self._door.token is None:
            await self._app(scope, receive, send)
            return
        token, entering = _cookie(scope), scope["path"] == ENTER
        if entering:
            token = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
        headers = [*scope["headers"]]
        if token:
            headers = [pair for pair in headers if pair[0].lower() != b"authorization"]
            headers.append((b"authorization", f"Bearer {token}".encode("latin-1", "replace")))
        if not entering:
            await self._app({**scope, "headers": headers}, receive, send)
            return

        async def sent(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start" and message["status"] == 303:
                path = scope.get("root_path") or "/"  # what is beside the pages takes no cookie
                cookie = f"{COOKIE}={quote(token, safe='')}; Path={path}; HttpOnly; SameSite=Strict"
                message["headers"] = [*message["headers"], (b"set-cookie", cookie.encode())]
            await send(message)

        await self._app({**scope, "headers": headers}, receive, sent)


def _netloc(origin: str) -> str | None:
    """None of what is no origin."""
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return None


def _cookie(scope: Scope) -> str:
    """As browsers mean them: other servers of this machine have cookies of any form at the same name."""
    from starlette.requests import cookie_parser

    held: dict[str, str] = {}
    for name, value in scope["headers"]:
        if name.lower() == b"cookie":
            held |= cookie_parser(value.decode("latin-1"))
    return unquote(held.get(COOKIE, ""))
