"""Candidates of texts that have none, from presidio's patterns, which need no language model."""

from __future__ import annotations

import inspect
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal, Protocol

from ullage.errors import InputError, MissingExtraError
from ullage.kinds.pii.records import Candidate
from ullage.kinds.pii.types import DataTypes

ENGLISH: Final = "en"
WORDS_BEFORE: Final = 5
RAISED_BY: Final = 0.35
AT_LEAST: Final = 0.4
"""What a word of its context does to a find's score, as in presidio's LemmaContextAwareEnhancer."""
NEAR: Final = 200
"""Characters before a find in which such words are looked for."""
DIGITS: Final = 3
"""Of a score."""


class _Find(Protocol):
    """A span that presidio found."""

    entity_type: str
    start: int
    end: int
    score: float


class _Recognizer(Protocol):
    """What is asked of presidio's recognizers."""

    supported_entities: list[str]
    supported_language: str
    context: list[str] | None

    def analyze(self, text: str, entities: list[str], nlp_artifacts: None) -> Iterable[_Find] | None: ...


@dataclass(frozen=True, slots=True)
class Detector:
    """Presidio's recognizers that read text alone; what they find of unknown types, or less surely than
    `least_score`, is left out."""

    recognizers: tuple[_Recognizer, ...]
    types: DataTypes
    least_score: float = 0.0

    def find(self, text: str, only: Collection[str] = ()) -> list[Candidate]:
        """Candidates in the order of the text, of the types in `only` if there are any.

        What lies within a longer find (the domain of an e-mail address) is none of its own.
        """
        found: dict[tuple[int, int, str], Candidate] = {}
        for start, end, name, score in self._finds(text):
            if score < self.least_score:
                continue
            kinds = [one for one in self.types.may_be(name) if not only or one.name in only]
            if not kinds:
                continue
            key = (start, end, kinds[0].name)
            before = found.get(key)
            if before is None or before.score is None or before.score < score:
                found[key] = Candidate(kinds[0], start, end, others=tuple(kinds[1:]), score=score)
        longest_first = sorted(found, key=lambda key: (key[0], -key[1]))
        kept, furthest = [], -1
        begun = -1
        for key in longest_first:
            start, end, _ = key
            if end > furthest or (start, end) == (begun, furthest):
                kept.append(found[key])
                begun, furthest = start, max(end, furthest)
        return kept

    def _finds(self, text: str) -> Iterator[tuple[int, int, str, float]]:
        """Start, end, presidio's name and score of everything that a recognizer finds."""
        for recognizer in self.recognizers:
            entities = recognizer.supported_entities
            for one in recognizer.analyze(text=text, entities=entities, nlp_artifacts=None) or ():
                score = one.score
                if _supported(text, one.start, recognizer.context or ()):
                    score = min(max(score + RAISED_BY, AT_LEAST), 1.0)
                yield one.start, one.end, one.entity_type, round(score, DIGITS)


def _supported(text: str, start: int, context: Sequence[str]) -> bool:
    """Whether one of the words before `start` holds one of a recognizer's context."""
    if not context:
        return False
    words = re.findall(r"\w+", text[max(start - NEAR, 0) : start].lower())[-WORDS_BEFORE:]
    return any(each.lower() in word for word in words for each in context)


def open_detector(
    when: Literal["none", "missing", "all"],
    types: DataTypes,
    languages: Sequence[str] = (ENGLISH,),
    least_score: float = 0.0,
) -> Detector | None:
    """Of English what presidio has on by itself, of other languages all that it has.

    Raises MissingExtraError where presidio is not installed, InputError for a language it knows nothing of.
    """
    if when == "none":
        return None
    try:
        from presidio_analyzer import RecognizerRegistry
        from tldextract import TLDExtract, tldextract
    except ImportError as error:
        raise MissingExtraError("presidio-analyzer", "detect", "pii.detect") from error
    # Presidio asks it about every e-mail address, and it would fetch the list of public suffixes: the list it
    # brings along does, and nothing is asked for on the network.
    tldextract.TLD_EXTRACTOR = TLDExtract(cache_dir=None, suffix_list_urls=())
    registry = RecognizerRegistry()
    registry.load_predefined_recognizers()
    usual = [one for one in registry.recognizers if _reads_text_alone(one)]
    if ENGLISH not in languages:
        usual = [one for one in usual if "country_specific" not in type(one).__module__]
    others = [language for language in languages if language != ENGLISH]
    return Detector((*usual, *_of_languages(others)), types, least_score)


def _of_languages(languages: Sequence[str]) -> Iterator[_Recognizer]:
    """Recognizers that presidio has for these languages alone. Raises InputError for one without any."""
    from presidio_analyzer import predefined_recognizers

    if not languages:
        return
    by_language: dict[str, list[_Recognizer]] = {}
    for name in predefined_recognizers.__all__:
        kind: type[_Recognizer] | None = getattr(predefined_recognizers, name)
        if inspect.isclass(kind) and _reads_text_alone(kind):
            made = kind()
            by_language.setdefault(made.supported_language, []).append(made)
    for language in languages:
        if language not in by_language:
            known = ", ".join(sorted({*by_language, ENGLISH}))
            raise InputError(f"pii.languages: presidio has no patterns for {language!r}; it has {known}")
        yield from by_language[language]


def _reads_text_alone(one: object) -> bool:
    """Whether a recognizer, or a class of them, needs no language model."""
    from presidio_analyzer import PatternRecognizer
    from presidio_analyzer.predefined_recognizers import PhoneRecognizer

    kind = one if inspect.isclass(one) else type(one)
    return issubclass(kind, (PatternRecognizer, PhoneRecognizer))
