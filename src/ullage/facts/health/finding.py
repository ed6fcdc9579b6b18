"""One thing that was looked at, and what is to be done about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "note", "problem"]
"""As it should be; worth knowing, and nothing fails for it; something fails for it."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found `about` something; `todo` says what to do, "" where nothing is."""

    about: str
    state: State
    said: str
    todo: str = ""


def ok(about: str, said: str) -> Finding:
    return Finding(about, "ok", said)


def note(about: str, said: str, todo: str = "") -> Finding:
    return Finding(about, "note", said, todo)


def problem(about: str, said: str, todo: str) -> Finding:
    return Finding(about, "problem", said, todo)
