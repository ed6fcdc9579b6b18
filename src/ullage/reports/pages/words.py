"""Words of a page, and how they are meant."""

from __future__ import annotations

from typing import Literal, NamedTuple

Tone = Literal["", "note", "bad", "warning", "good", "strong", "secret"]
"""`note` is said aside; `secret` is seen once it is asked for."""
Hue = Literal["orange", "blue"]


class Span(NamedTuple):
    """Words shown letter by letter. `tip` is what else is known of them; `shade`, from 0 to 1, is how dark
    their `hue` lies under them; `to` is an address of ours that they lead to."""

    text: str
    tone: Tone = ""
    tip: str = ""
    shade: float | None = None
    hue: Hue = "orange"
    to: str = ""


Words = str | Span | tuple[str | Span, ...]
"""In a `str`, what stands between backticks is code."""


def spans(words: Words) -> tuple[str | Span, ...]:
    """The pieces, one after another."""
    return (words,) if isinstance(words, str | Span) else words


def plain(words: Words) -> str:
    """The letters alone."""
    return "".join(each if isinstance(each, str) else each.text for each in spans(words))
