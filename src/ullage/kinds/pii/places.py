"""Where a value stands in a text: as it is written, and folded across case and Unicode's normal forms."""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

Place = tuple[int, int]
CJK: Final = "\u2e80"
"""From here on scripts write without blanks."""
JAMO: Final = ("\u1100", "\u11ff")
"""What Hangul is decomposed into; it writes without blanks too where folding has taken it apart."""
JAMO_INSIDE: Final = "\u1160"
"""From here to the last, vowels and finals: they go on a syllable."""
INVISIBLE: Final = re.compile(
    "[\u034f\u115f\u1160\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
"""The grapheme joiner, Hangul fillers and variation selectors: as invisible as characters of category Cf."""
DOTTED: Final = "ij"
DOT: Final = "\u0307"
DOTLESS: Final = "\u0131"
"""Turkish writes \u0130 and I for i and \u0131: folded they are one letter, in a text of any language."""


def places_of(text: str, part: str, cuts: Collection[int] = ()) -> list[Place]:
    """Where `part` stands in `text`, but not inside another word or number.

    At `cuts` the text was cut in two: no word goes on there.
    """
    return Folded(text, None).apart_of(part, cuts)


def anywhere(text: str, part: str) -> list[Place]:
    """Every place of `part` in `text`, overlapping ones too."""
    return [(start, start + len(part)) for start in _starts(text, part)]


def _starts(text: str, part: str) -> Iterator[int]:
    start = text.find(part) if part else -1
    while start >= 0:
        yield start
        start = text.find(part, start + 1)


def _begins(text: str, at: int) -> bool:
    """Whether no word or number goes on at `at`."""
    return at == 0 or not _joined(text[_letter(text, at - 1)], text[at])


def _ends(text: str, at: int) -> bool:
    """Whether a word, number or letter that ends before `at` does not go on there."""
    if at >= len(text):
        return True
    return not _goes_on(text[at]) and not _joined(text[_letter(text, at - 1)], text[at])


def _letter(text: str, at: int) -> int:
    """Where the letter is that a mark at `at` belongs to; `at` of what is no mark."""
    while at > 0 and unicodedata.combining(text[at]):
        at -= 1
    return at


def _goes_on(one: str) -> bool:
    """Whether it belongs to the letter before it: a mark, a vowel or final of a Hangul syllable."""
    return bool(unicodedata.combining(one)) or JAMO_INSIDE <= one <= JAMO[1]


def _joined(one: str, other: str) -> bool:
    if one.isdigit() and other.isdigit():
        return True
    # Chinese, Japanese and Korean letters stand beside one another without making one word.
    return one.isalpha() and other.isalpha() and not (_blankless(one) or _blankless(other))


def _blankless(one: str) -> bool:
    return one >= CJK or JAMO[0] <= one <= JAMO[1]


@dataclass(frozen=True, slots=True)
class Folded:
    """A text without what case, normal form, invisible characters and the length of blanks make of it.

    Compatibility caseless matching (The Unicode Standard, section 3.13, D146), in which white space is one
    blank, what is invisible is nothing, digits of all scripts are those of ASCII, and an i has no dot of its
    own. `origins` has for each folded character the place of the one it comes from; None where that is its
    own.
    """

    text: str
    origins: tuple[int, ...] | None

    def apart(self, value: str, cuts: Collection[int] = ()) -> list[Place]:
        """Where the original has `value`, folded, but not inside another word or number."""
        return self.apart_of(fold(value).text.strip(), cuts)

    def apart_of(self, part: str, cuts: Collection[int]) -> list[Place]:
        """The same of a value that is folded, or not to be."""
        return [
            self._place(start, end)
            for start, end in anywhere(self.text, part)
            if (_begins(self.text, start) or self._is_cut(start, cuts))
            and (_ends(self.text, end) or self._is_cut(end, cuts))
        ]

    def anywhere(self, value: str) -> list[Place]:
        """Every place of `value`, folded, inside other words too."""
        return [self._place(*at) for at in anywhere(self.text, fold(value).text.strip())]

    def _is_cut(self, at: int, cuts: Collection[int]) -> bool:
        """Whether the original is cut between the letters before and at `at`, or in what vanished there."""
        before = self._origin(_letter(self.text, at - 1))
        return any(each in cuts for each in range(before + 1, self._origin(at) + 1))

    def _origin(self, at: int) -> int:
        return at if self.origins is None else self.origins[at]

    def _place(self, start: int, end: int) -> Place:
        if self.origins is None:
            return start, end
        some = self.origins[start:end]
        return min(some), max(some) + 1


@lru_cache(maxsize=4)  # the values of a record's candidates are looked for in one text
def fold(text: str) -> Folded:
    """`text` folded."""
    if text.isascii():
        low = text.lower()
        words = " ".join(low.split())
        if len(words) == len(low):
            return Folded(words, None)
        units = list(zip(low, range(len(low)), strict=True))
    else:
        units = [(one, at) for at, one in enumerate(text) if not _invisible(one)]
        units = _ordered([(part, at) for one, at in units for part in unicodedata.normalize("NFD", one)])
        units = _undotted(_ordered([(part, at) for one, at in units for part in _plain(one)]))
    kept: list[tuple[str, int]] = []
    for one, at in units:
        if not one.isspace():
            kept.append((one, at))
        elif not kept or kept[-1][0] != " ":
            kept.append((" ", at))
    return Folded("".join(one for one, _ in kept), tuple(at for _, at in kept))


def _invisible(one: str) -> bool:
    return unicodedata.category(one) == "Cf" or INVISIBLE.match(one) is not None


@lru_cache(maxsize=4096)
def _plain(one: str) -> str:
    """One decomposed character in the form in which all its cases and compatible forms are one."""
    for _ in range(2):
        one = unicodedata.normalize("NFKD", one.casefold())
    one = one.replace(DOTLESS, DOTTED[0])
    return "".join(str(unicodedata.decimal(each)) if each.isdecimal() else each for each in one)


def _ordered(units: list[tuple[str, int]]) -> list[tuple[str, int]]:
    """Marks behind one letter in the canonical order, in which equivalent texts are equal."""
    found: list[tuple[str, int]] = []
    run: list[tuple[str, int]] = []
    for unit in units:
        if unicodedata.combining(unit[0]):
            run.append(unit)
            continue
        if run:
            found += sorted(run, key=lambda each: unicodedata.combining(each[0]))
            run = []
        found.append(unit)
    return found + sorted(run, key=lambda each: unicodedata.combining(each[0]))


def _undotted(units: list[tuple[str, int]]) -> list[tuple[str, int]]:
    """Without the dots that stand on letters which have one anyway."""
    found: list[tuple[str, int]] = []
    letter = ""
    for unit in units:
        if not unicodedata.combining(unit[0]):
            letter = unit[0]
        elif unit[0] == DOT and letter and letter in DOTTED:
            continue
        found.append(unit)
    return found


def standing(text: str, value: str, cuts: Collection[int] = ()) -> list[Place]:
    """Every place of `value` in `text` as a word of its own, as it is written or folded, in order."""
    exact = places_of(text, value, cuts)  # all there is of a value that is nothing once folded
    return sorted({*exact, *fold(text).apart(value, cuts)})


def within(text: str, value: str) -> list[Place]:
    """Every place where `value` stands in `text`; inside other words where it is nowhere one of its own."""
    return standing(text, value) or sorted({*anywhere(text, value), *fold(text).anywhere(value)})


def first_place(text: str, value: str) -> Place | None:
    """Where `value` stands: as it is written and a word of its own if it can be, else folded, else inside
    another word."""
    for found in (places_of(text, value), fold(text).apart(value), within(text, value)):
        if found:
            return found[0]
    return None


def is_free(spans: list[Place], place: Place) -> bool:
    """Whether `place` shares no character with any of `spans`, which are in order and apart."""
    at = bisect_left(spans, (place[1], -1))
    return at == 0 or spans[at - 1][1] <= place[0]
