"""Texts with what was verified or could not be decided taken out, where all of it can be."""

from __future__ import annotations

import hmac
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from ullage.errors import InputError
from ullage.kinds.pii.places import Place, fold, is_free, standing, within
from ullage.kinds.pii.records import stands
from ullage.kinds.pii.section import Section
from ullage.text import keep_secret

Mode = Literal["mask", "tag", "hash"]
SHORTEST_KEY: Final = 16
"""Bytes: 128 bits where they are chance."""
DIGITS: Final = 16
"""Hex digits of a hash that are shown: 64 bits, so that equal values stay equal and others differ."""
UNPLACED: Final = "a failed candidate has no place in the text that could be taken out"
ELSEWHERE: Final = (
    "a value that is taken out stands elsewhere too; everywhere (--everywhere) takes it out there as well"
)


@dataclass(frozen=True, slots=True)
class Sensitive:
    """A candidate that was verified, or failed: nothing of it may stay.

    `margin` is how much likelier its verdict is than the opposite, None where it failed. `everywhere`: every
    place of its value is meant, as of one that was given by value. `stated` is the value that was given
    beside a span that holds another.
    """

    type: str
    span: Place | None
    margin: float | None = None
    everywhere: bool = False
    folded: bool = False
    stated: str = ""


@dataclass(frozen=True, slots=True)
class Redaction:
    """`text` with everything taken out, or None and the reason; how many places only folding found."""

    text: str | None
    reason: str = ""
    folded: int = 0


@dataclass(frozen=True, slots=True)
class _Out:
    """One place that is taken out, for a candidate whose value is `value`."""

    span: Place
    of: Sensitive
    value: str
    folded: bool

    @property
    def rank(self) -> tuple[bool, float, int, str]:
        """The likeliest verdict goes first, then the longest."""
        sure = self.of.margin
        return (sure is not None, sure or 0.0, self.span[1] - self.span[0], self.of.type)


def redact(
    text: str, found: Sequence[Sensitive], mode: Mode, key: bytes = b"", *, everywhere: bool = False
) -> Redaction:
    """`text` without anything in `found`, unless some of it has no place there, or would stay elsewhere.

    What overlaps is one span, and has the type of the likeliest verdict. `mask` leaves as many asterisks as
    there were characters, `tag` the type's name, `hash` name and keyed hash (HMAC-SHA-256) of the value,
    folded. `everywhere` takes each value out wherever it stands as a word of its own.
    """
    out: dict[tuple[Place, Sensitive], _Out] = {}
    for one in found:
        own = _out_of(text, one, everywhere)
        if not own:
            return Redaction(None, UNPLACED)
        out |= {(each.span, one): each for each in own}
    while True:
        spans = _united([*out.values()])
        left = _left(text, [*out.values()], [span for span, _ in spans])
        if not left:
            break
        if not all(everywhere or one.of.everywhere for one in left):
            return Redaction(None, ELSEWHERE)
        out |= {(one.span, one.of): one for one in left}
    exact = {one.span for one in out.values() if not one.folded}
    folded = {one.span for one in out.values()} - exact
    return Redaction(_without(text, spans, mode, key), "", len(folded))


def _out_of(text: str, one: Sensitive, everywhere: bool) -> list[_Out]:
    """All places that are taken out for a candidate; none where there is something that has no place."""
    if one.span is None:
        return []
    start, end = one.span
    value = text[start:end]
    found = [_Out(one.span, one, value, one.folded)]
    if one.stated:
        places = within(text, one.stated)
        if not places and not stands(one.stated, value):
            return []
        found += [_Out(place, one, value, text[slice(*place)] != one.stated) for place in places]
    if everywhere or one.everywhere:
        places = within(text, value) if one.everywhere else standing(text, value)
        found += [
            _Out(place, one, value, one.folded or text[slice(*place)] != value)
            for place in places
            if place != one.span
        ]
    return found


def _united(out: Sequence[_Out]) -> list[tuple[Place, _Out]]:
    """Spans that share no character, each with the likeliest verdict in it, in order."""
    found: list[tuple[Place, _Out]] = []
    for one in sorted(out, key=lambda each: each.span):
        if found and one.span[0] < found[-1][0][1]:
            (start, end), best = found[-1]
            found[-1] = ((start, max(end, one.span[1])), max(best, one, key=lambda each: each.rank))
        else:
            found.append((one.span, one))
    return found


def _left(text: str, out: Sequence[_Out], spans: list[Place]) -> list[_Out]:
    """Where a value stands in what is left of `text`; what is taken out beside it ends a word there."""
    cuts = {edge for span in spans for edge in span}
    values: dict[str, _Out] = {}
    for one in out:
        for value in filter(None, (one.value, one.of.stated)):
            before = values.get(value)
            if before is None or (before.of.everywhere and not one.of.everywhere):
                values[value] = one
    return [
        replace(one, span=place, folded=text[slice(*place)] != value)
        for value, one in values.items()
        for place in standing(text, value, cuts)
        if is_free(spans, place)
    ]


def _without(text: str, spans: Sequence[tuple[Place, _Out]], mode: Mode, key: bytes) -> str:
    found, at = [], 0
    for (start, end), one in spans:
        found.append(text[at:start])
        name = one.of.type.upper()
        if mode == "mask":
            found.append("*" * (end - start))
        elif mode == "tag":
            found.append(f"<{name}>")
        else:
            same = fold(one.value).text.strip() or one.value
            digest = hmac.new(key, same.encode(), "sha256").hexdigest()[:DIGITS]
            found.append(f"<{name}:{digest}>")
        at = end
    return "".join([*found, text[at:]])


def redacted_row(text: str, found: Sequence[Sensitive], section: Section, key: bytes) -> dict[str, object]:
    """What stands of it in a line of output: `redacted`, and why it is null, or what only folding found."""
    assert section.redact != "none"
    made = redact(text, found, section.redact, key, everywhere=section.everywhere)
    row: dict[str, object] = {"redacted": made.text}
    if made.reason:
        row["withheld"] = made.reason
    if made.folded:
        row["folded"] = made.folded
    return row


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
