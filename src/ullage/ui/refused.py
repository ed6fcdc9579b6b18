"""What is said of a request that has no answer: a page like the others, a part of one, or JSON, whichever is
asked for."""

from __future__ import annotations

import json
from typing import Final

from ullage.serving.guard import Scope
from ullage.serving.refusal import Refusal
from ullage.ui.pages import render

HTML: Final = "text/html; charset=utf-8"
JSON: Final = "application/json"
WHOLE: Final = "/change"
"""The one path whose part is all that a page's `main` has."""


def is_part(scope: Scope) -> bool:
    """Whether htmx asks, and will put the answer into the page; of one that it restores it takes all."""
    names = {name.lower() for name, _ in scope["headers"]}
    return b"hx-request" in names and b"hx-history-restore-request" not in names


def refused(scope: Scope, refusal: Refusal) -> tuple[str, bytes]:
    """The kind of a body, and the body."""
    if _asks_json(scope):
        return JSON, json.dumps(refusal.body).encode()
    template = "error.html.jinja"
    if is_part(scope):
        template = "error_main.html.jinja" if scope["path"] == WHOLE else "error_lines.html.jinja"
    root = str(scope.get("root_path", "")).rstrip("/")
    page = render(template, root=root, status=refusal.status, lines=refusal.message.splitlines())
    return HTML, page.encode()


def _asks_json(scope: Scope) -> bool:
    """Whether JSON is named among what is accepted and pages are not, or the path is that of a document."""
    accepted = b",".join(value for name, value in scope["headers"] if name.lower() == b"accept").lower()
    named = JSON.encode() in accepted or scope["path"].endswith(".json")
    return named and b"text/html" not in accepted
