"""How a model is asked about one candidate: its instruction, the text, and the span in it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from ullage.engines.engine import Chat
from ullage.engines.prompts import JOINER
from ullage.kinds.pii.records import Candidate, Record
from ullage.kinds.pii.types import DataType
from ullage.kinds.pii.wording import Wording
from ullage.workloads.templates import fill

OPEN, CLOSE = "[[", "]]"
EXPLAIN: Final = "Why? Answer in one sentence."
GAP: Final = " ... "
CHARACTERS: Final = 32
"""Of text for each token of a prompt that are looked at; a token rarely has more than ten."""
AROUND: Final = (0, 8, 24, 64)
"""Characters on each side that may stand beside a span, the first with which it is met only once."""


@dataclass(frozen=True, slots=True)
class Asking:
    """`longest` tokens are what a prompt may have, `defining` its instruction; `count` counts a prompt's."""

    wording: Wording
    longest: int
    defining: int
    count: Callable[[Chat], int]

    def instructions(self, types: Sequence[DataType]) -> dict[str, str]:
        """By the name of each type the instruction it is asked under."""
        return self.wording.instructions(
            types, lambda system: self.count((*_chat(system, ""),)) <= self.defining
        )

    def prompt(self, record: Record, candidate: Candidate, system: str) -> Chat | None:
        """The chat; its text is cut around the span where it is too long, None where even that is."""
        assert candidate.start is not None
        assert candidate.end is not None
        chat = self._asked(system, candidate.type, record.text, candidate.start, candidate.end)
        most = CHARACTERS * self.longest  # around the span; a text of megabytes is not tokenized whole
        if len(record.text) <= most and self.count(chat) <= self.longest:
            return chat
        shortest = self._cut(record.text, candidate.start, candidate.end, 0)
        least = self._asked(system, candidate.type, *shortest)
        if self.count(least) > self.longest:
            return None
        # The most context that fits, by halving: tokens grow with characters.
        low, high, found = 0, min(len(record.text), most), least
        while high - low > 16:
            middle = (low + high) // 2
            cut = self._cut(record.text, candidate.start, candidate.end, middle)
            chat = self._asked(system, candidate.type, *cut)
            if self.count(chat) <= self.longest:
                low, found = middle, chat
            else:
                high = middle
        return found

    def _asked(self, system: str, kind: DataType, text: str, start: int, end: int) -> Chat:
        before, span, after = text[:start], text[start:end], text[end:]
        if self.wording.once:
            said = {"text": inert(text), "span": excerpt(text, start, end)}
        else:
            said = {"text": mark(before, span, after)}
        return _chat(system, fill(self.wording.template, {**said, "type": kind.label}))

    @staticmethod
    def _cut(text: str, start: int, end: int, around: int) -> tuple[str, int, int]:
        """The span with so many characters of the text on each side, and where it then lies."""
        begin, stop = max(start - around, 0), min(end + around, len(text))
        before = GAP if begin else ""
        cut = before + text[begin:stop] + (GAP if stop < len(text) else "")
        at = len(before) + start - begin
        return cut, at, at + end - start


def _chat(system: str, user: str) -> Chat:
    return ({"role": "system", "content": system}, {"role": "user", "content": user})


def excerpt(text: str, start: int, end: int) -> str:
    """The span between its marks, with as much of the text around it as tells it from others like it."""
    begin, stop = start, end
    for around in AROUND:
        begin, stop = max(start - around, 0), min(end + around, len(text))
        said = text[begin:stop]
        if text.find(said, text.find(said) + 1) < 0:
            break
    return mark(text[begin:start], text[start:end], text[end:stop])


def mark(before: str, span: str, after: str) -> str:
    """The span between its marks; no text can open or close a mark of its own.

    A word joiner stands between any two brackets that are alike, at the marks' edges as well.
    """
    return inert(before + "[")[:-1] + OPEN + inert("[" + span + "]")[1:-1] + CLOSE + inert("]" + after)[1:]


def inert(text: str) -> str:
    """Text without two like brackets side by side."""
    return re.sub(r"\[(?=\[)|\](?=\])", lambda found: found[0] + JOINER, text)
