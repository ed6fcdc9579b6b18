"""What a model wrote, read strictly: a legal choice, or the statement in it. None is not an answer."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from ullage.kinds.werewolf.asks import Ask
from ullage.kinds.werewolf.chance import chance

KEYS: Final = (
    "choice",
    "vote",
    "answer",
    "target",
    "name",
    "bid",
    "kill",
    "see",
    "save",
    "heal",
    "poison",
    "shoot",
)
"""What the one value of structured text may be called; `vote: Dina`, or a JSON object that has it."""
MODERATOR: Final = "Moderator"

_THOUGHT: Final = re.compile(r"\s*<think(?:ing)?>.*?(?:</think(?:ing)?>|\Z)", re.DOTALL)
_FENCE: Final = re.compile(r"```(?:json)?\s*(.*?)\s*```", re.DOTALL)
_LINE: Final = re.compile(rf"(?:{'|'.join(KEYS)})\s*[:=]\s*(.+)", re.IGNORECASE)
_AROUND: Final = " \t\n\r\"'`*_.!,()[]"
_QUOTES: Final = ' \t\n\r"*\u201c\u201d'


class Said(NamedTuple):
    """The part of a reply that is said: characters `begin` to `end` of it, and whether others' lines that the
    player wrote too were cut off."""

    begin: int
    end: int
    cut: bool


def read_choice(text: str, legal: Sequence[str]) -> str | None:
    """The one legal answer that `text` is, by its exact name in any case: bare, as the last line `vote:
    NAME`, or under one of `KEYS` in a JSON object. None where it is something else, or several."""
    body = _THOUGHT.sub("", text).strip()
    found = {_legal(each, legal) for each in _candidates(body)}
    return found.pop() if len(found) == 1 else None


def _candidates(body: str) -> Iterator[str]:
    fenced = _FENCE.fullmatch(body)
    inner = fenced[1] if fenced else body
    if inner.startswith("{"):
        try:
            read: object = json.loads(inner)
        except (ValueError, RecursionError):
            return
        values = [read[key] for key in KEYS if key in read] if isinstance(read, dict) else []
        yield from (str(each) for each in values if isinstance(each, str | int))
        return
    last = inner.splitlines()[-1].strip(" *") if inner else ""
    line = _LINE.fullmatch(last)
    yield line[1] if line else inner


def _legal(text: str, legal: Sequence[str]) -> str | None:
    bare = text.strip(_AROUND).casefold()
    return next((each for each in legal if each.casefold() == bare), None)


def read_statement(text: str, speaker: str, names: Sequence[str]) -> Said:
    """What the speaker says: without its thoughts in tags, its own name before it and quotation marks around
    all of it, up to a line that it wrote for somebody else. It may be empty."""
    thought = _THOUGHT.match(text)
    begin = thought.end() if thought else 0
    own = re.compile(rf"[\s*\-\"]*{re.escape(speaker)}[\s*]*:[\s*]*").match(text, begin)
    begin = own.end() if own else begin
    others = "|".join(map(re.escape, (*(each for each in names if each != speaker), MODERATOR)))
    foreign = re.compile(rf"\n[\s*\-\"]*(?:{others})[\s*]*:").search(text, begin)
    end = foreign.start() if foreign else len(text)
    while begin < end and text[begin] in _QUOTES:
        begin += 1
    while end > begin and text[end - 1] in _QUOTES:
        end -= 1
    return Said(begin, end, foreign is not None)


def fall_back(ask: Ask, seed: int) -> str:
    """What stands in for an answer that could not be read twice: a legal one by chance, or silence."""
    return chance(seed, "fallback", ask.number).choice(ask.legal) if ask.legal else ""
