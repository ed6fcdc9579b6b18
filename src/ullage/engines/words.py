"""What a server says went wrong: its own words, on one line, and without the prompt it may repeat."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher
from typing import Final

from ullage.text import one_line

LONGEST: Final = 200
"""Characters of a reason."""
LEAST_REPEATED: Final = 12
"""Characters from which on a piece of the prompt is taken out of what a server says of it."""
NAMES: Final = ("message", "detail", "msg", "error", "reason", "title", "code", "type")
"""Where servers put their words, the most telling first."""


def words_of(error: object) -> str:
    """The words in an error's body, whatever its shape; "" where it has none."""
    if isinstance(error, str):
        return " ".join(error.split())
    if isinstance(error, Mapping):
        return next((said for name in NAMES if (said := words_of(error.get(name)))), "")
    if isinstance(error, Sequence):
        return "; ".join(said for each in error[:5] if (said := words_of(each)))
    return str(error) if isinstance(error, int | float) and not isinstance(error, bool) else ""


def told(words: str, prompt: Sequence[Mapping[str, str]]) -> str:
    """A reason as it is kept: short, without secrets, and without what it repeats of the prompt."""
    shown = one_line(words)[:LONGEST]
    for said in prompt:
        content = " ".join(said["content"].split())
        while True:
            same = SequenceMatcher(None, shown, content, autojunk=False).find_longest_match()
            if same.size < LEAST_REPEATED:
                break
            shown = f"{shown[: same.a]}…{shown[same.a + same.size :]}"
    return shown
