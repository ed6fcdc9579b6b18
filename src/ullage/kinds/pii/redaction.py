"""Texts with what was verified taken out."""

from __future__ import annotations

import hmac
import os
from collections.abc import Sequence
from typing import Final, Literal

from ullage.errors import InputError
from ullage.text import keep_secret

Mode = Literal["mask", "tag", "hash"]
SHORTEST_KEY: Final = 16
"""Bytes: 128 bits where they are chance."""
DIGITS: Final = 16
"""Hex digits of a hash that are shown: 64 bits, so that equal values stay equal and others differ."""


def redact(text: str, spans: Sequence[tuple[int, int, str]], mode: Mode, key: bytes = b"") -> str:
    """`text` with each span [start, end) of a type replaced; of spans that overlap, their union is taken out.

    `mask` leaves as many asterisks as there were characters, `tag` the type's name, `hash` name and keyed
    hash (HMAC-SHA-256) of the value.
    """
    found, at = [], 0
    for start, end, name in _united(spans):
        found.append(text[at:start])
        if mode == "mask":
            found.append("*" * (end - start))
        elif mode == "tag":
            found.append(f"<{name.upper()}>")
        else:
            digest = hmac.new(key, text[start:end].encode(), "sha256").hexdigest()[:DIGITS]
            found.append(f"<{name.upper()}:{digest}>")
        at = end
    return "".join([*found, text[at:]])


def _united(spans: Sequence[tuple[int, int, str]]) -> list[tuple[int, int, str]]:
    found: list[tuple[int, int, str]] = []
    for start, end, name in sorted(spans):
        if found and start < found[-1][1]:
            before = found[-1]
            found[-1] = (before[0], max(before[1], end), before[2])
        else:
            found.append((start, end, name))
    return found


def read_key(name: str) -> bytes:
    """The hash key in environment variable `name`. Raises InputError where there is none, or a short one."""
    key = os.environ.get(name, "")
    if not key:
        raise InputError(f"redact: hash needs a key: set the environment variable {name}")
    keep_secret(key)
    found = key.encode(errors="surrogateescape")
    if len(found) < SHORTEST_KEY:
        raise InputError(
            f"redact: hash: the key in {name} has {len(found)} bytes, which can be guessed; give it at least "
            f"{SHORTEST_KEY}, for example from `openssl rand -hex 32`"
        )
    return found
