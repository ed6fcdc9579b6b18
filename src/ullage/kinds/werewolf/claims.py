"""Claims in a statement that a game can decide: who somebody is, and what the speaker did at night.

Plain patterns, sentence by sentence. A sentence that asks, supposes, or has somebody else say it holds none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal

from ullage.kinds.werewolf.identities import IDENTITIES, POSSESSED, WEREWOLF

Act = Literal["seen", "saved", "poisoned"]

_ALL: Final = frozenset(IDENTITIES)
_MEANT: Final[Mapping[str, frozenset[str]]] = {
    **{name: frozenset({name}) for name in IDENTITIES},
    "wolf": frozenset({WEREWOLF}),
    "evil": frozenset({WEREWOLF, POSSESSED}),
    "human": _ALL - {WEREWOLF},
    "innocent": _ALL - {WEREWOLF, POSSESSED},
}
"""The identities that a word leaves possible."""
_PLURALS: Final = {"werewolves": "werewolf", "wolves": "wolf", "villagers": "villager", "humans": "human"}
_ACTS: Final[Mapping[str, Act]] = {
    **dict.fromkeys(
        ("checked", "investigated", "inspected", "divined", "looked at", "saw", "scanned"), "seen"
    ),
    **dict.fromkeys(("protected", "saved", "guarded", "healed"), "saved"),
    "poisoned": "poisoned",
}

_SENTENCE: Final = re.compile(r"[^.!?\n;]+[.!?;]*")
_NO_CLAIM: Final = re.compile(
    r"\?|[\"\u201c]|\b(?:if|unless|whether|think|believe|guess|suspect|suppose|assume|feel|doubt|hope|bet|"
    r"maybe|perhaps|probably|possibly|likely|might|may|could|would|should|must|seems?|looks? like|sounds?|"
    r"says?|said|saying|claims?|claimed|told|pretends?|accuses?|accused|either|or|imagine|wonder|as though|"
    r"acts?|acting)\b",
    re.IGNORECASE,
)
_WORD: Final = (
    r"(?i:(?:\s+(?:really|truly|just|only|simply|indeed|definitely|certainly|clearly|actually|also|an?|the|one|of|"
    r"your|our|simple|plain|ordinary|real|true|fellow|honest|loyal))*"
    rf"\s+(?P<word>{'|'.join(sorted((*_MEANT, *_PLURALS), key=len, reverse=True))})\b)"
)
_NOT: Final = r"(?P<no>(?i:n['\u2019]t|\s+not|\s+no|\s+never)\b)?"
_NIGHT: Final = r"(?i:last night|in the night|tonight|at night|during the night)"


@dataclass(frozen=True, slots=True)
class Claim:
    """What characters `begin` to `end` of a statement say of the player at `seat`: that its identity is among
    `meant`, or that the speaker did `act` to it, `last_night` or ever."""

    seat: int
    begin: int
    end: int
    meant: frozenset[str] = frozenset()
    act: Act | None = None
    last_night: bool = False


@dataclass(frozen=True, slots=True)
class _Patterns:
    own: re.Pattern[str]
    other: re.Pattern[str]
    act: re.Pattern[str]
    name: re.Pattern[str]


@lru_cache(maxsize=64)
def _patterns(names: tuple[str, ...]) -> _Patterns:
    one = rf"\b(?:{'|'.join(map(re.escape, names))})\b"
    verb = "|".join(_ACTS)
    found = (
        rf"(?i:\W+(?:and\s+)?(?:(?:he|she|they|it)(?:\s+(?:is|are|was|were)|['\u2019](?:s|re))){_NOT}{_WORD})"
    )
    return _Patterns(
        own=re.compile(
            rf"\b(?:(?i:I\s+am|I['\u2019]m|my\s+(?:role|identity)\s+is|I\s+was){_NOT}|(?i:^\W*as)){_WORD}"
        ),
        other=re.compile(
            rf"(?P<who>{one}(?:(?:\s*,\s*|\s*,?\s+and\s+){one})*)"
            rf"(?i:\s+(?:is|are|was|were)|['\u2019]s){_NOT}{_WORD}"
        ),
        act=re.compile(
            rf"\b(?i:I(?:\s+have|['\u2019]ve)?\s+(?P<verb>{verb}))\s+(?P<who>{one})(?!['\u2019])"
            rf"(?P<night>\s+{_NIGHT})?(?P<found>{found})?(?P<over>\W*$)?"
        ),
        name=re.compile(one),
    )


def claims_in(text: str, speaker: int, names: Sequence[str]) -> Iterator[Claim]:
    """All claims in a statement of the player at `speaker`, sentence by sentence."""
    patterns = _patterns(tuple(names))
    for sentence in _SENTENCE.finditer(text):
        said = sentence[0].rstrip()
        if _NO_CLAIM.search(said):
            continue
        for found in patterns.own.finditer(said):
            yield _identity(found, speaker, sentence.start())
        for found in patterns.other.finditer(said):
            for name in patterns.name.findall(found["who"]):
                yield _identity(found, names.index(name), sentence.start())
        for found in patterns.act.finditer(said):
            yield from _act(found, names.index(found["who"]), sentence.start())


def _identity(found: re.Match[str], seat: int, begin: int) -> Claim:
    word = found["word"].lower()
    meant = _MEANT[_PLURALS.get(word, word)]
    return Claim(seat, begin + found.start(), begin + found.end(), _ALL - meant if found["no"] else meant)


def _act(found: re.Match[str], seat: int, begin: int) -> Iterator[Claim]:
    """`I saw Dina leave` is no night's work: seeing counts with a night, a result, or nothing after it."""
    verb = found["verb"].lower()
    if verb == "saw" and not (found["night"] or found["found"] or found["over"] is not None):
        return
    night = found["night"] is not None and "last" in found["night"].lower()
    yield Claim(seat, begin + found.start(), begin + found.end(), act=_ACTS[verb], last_night=night)
    if found["found"]:
        yield _identity(found, seat, begin)
