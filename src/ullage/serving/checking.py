"""A server that is begun, asked once for each role, and ended."""

from __future__ import annotations

import base64
import json
import struct
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from ullage.errors import EngineError
from ullage.serving.server import Listening, listen

if TYPE_CHECKING:
    from ullage.planning.plan import Plan
    from ullage.runtime.opening import Options
    from ullage.workloads.served import Plans

HELLO: Final = "Hello"
_CHAT: Final = "/v1/chat/completions"


def check_served(plans: Plans, listening: Listening, options: Options) -> list[str]:
    """Serves a plan for as long as it takes to ask for each role once; a line for each answer.

    Raises EngineError with a line for each role that gave none.
    """
    said: list[str] = []
    wrong: list[str] = []

    def ask_all(address: str, stop: Callable[[], None]) -> None:
        try:
            for name, does in _roles(address, listening.token):
                begun = time.monotonic()
                try:
                    _post(address, listening, *_asking(plans.roles, name, does))
                except HTTPError as error:
                    wrong.append(f"role {name}: {_problem(error)}")
                except (URLError, OSError) as error:
                    wrong.append(f"role {name}: no answer: {error}")
                else:
                    said.append(f"{name}: {does} answered in {time.monotonic() - begun:.2f} s")
        except Exception as error:  # of the thread that asks: the one that serves tells it
            wrong.append(f"{type(error).__name__}: {error}")
        finally:
            stop()

    def ready(address: str, stop: Callable[[], None]) -> None:
        threading.Thread(target=ask_all, args=(address, stop), name="ullage-check", daemon=True).start()

    listen(plans, replace(listening, port=0), options, ready)
    if wrong:
        raise EngineError(*wrong)
    return said


def _roles(address: str, token: str | None) -> Iterator[tuple[str, str]]:
    """Each role, and the first thing it is served for."""
    with urlopen(_request(f"{address}/v1/models", token)) as answer:
        for each in json.load(answer)["data"]:
            if each["ullage"]["does"]:
                does = each["ullage"]["does"]
                yield each["id"], "pictures" if "pictures" in does else does[0]


def _asking(plan: Plan, name: str, does: str) -> tuple[str, dict[str, Any]]:
    """The path and the body of a small request."""
    if does == "images":
        return "/v1/images/generations", {"model": name, "prompt": HELLO}
    if does == "embeddings":
        return "/v1/embeddings", {"model": name, "input": HELLO}
    content: object = HELLO
    if does == "pictures":
        roles = plan.workload.roles
        looks = roles.get(name) or next(role for role in roles.values() if role.images)
        url = f"data:image/png;base64,{base64.b64encode(_white(looks.image_size)).decode()}"
        content = [{"type": "text", "text": HELLO}, {"type": "image_url", "image_url": {"url": url}}]
    limits = {"max_tokens": 1} if name in plan.workload.roles else {}  # the whole's are its roles' own
    return _CHAT, {"model": name, **limits, "messages": [{"role": "user", "content": content}]}


def _post(address: str, listening: Listening, path: str, body: dict[str, Any]) -> None:
    request = _request(address + path, listening.token, json.dumps(body).encode())
    with urlopen(request, timeout=listening.answer_seconds) as answer:
        answer.read()


def _request(url: str, token: str | None, body: bytes | None = None) -> Request:
    headers = {"Content-Type": "application/json"}
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    return Request(url, body, headers)


def _problem(error: HTTPError) -> str:
    try:
        return str(json.load(error)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return str(error)


def _white(size: tuple[int, int]) -> bytes:
    """A white picture, as PNG: one row of 8-bit greys after the other, each behind a 0 for no filter."""
    width, height = size

    def part(kind: bytes, data: bytes) -> bytes:
        whole = kind + data
        return struct.pack(">I", len(data)) + whole + struct.pack(">I", zlib.crc32(whole))

    rows = (b"\x00" + b"\xff" * width) * height
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + part(b"IHDR", header) + part(b"IDAT", zlib.compress(rows)) + part(b"IEND", b"")
    )
