"""Candidates of texts that have none, from presidio's patterns, which need no language model."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Literal, Protocol

from ullage.errors import InputError, MissingExtraError
from ullage.kinds.pii.records import Candidate
from ullage.kinds.pii.types import DataTypes


class _Find(Protocol):
    """A span that presidio found."""

    entity_type: str
    start: int
    end: int


class _Recognizer(Protocol):
    """What is asked of presidio's recognizers."""

    supported_entities: list[str]

    def analyze(self, text: str, entities: list[str], nlp_artifacts: None) -> Iterable[_Find] | None: ...


@dataclass(frozen=True, slots=True)
class Detector:
    """Presidio's recognizers that read text alone; what they find of unknown types is left out."""

    recognizers: tuple[_Recognizer, ...]
    types: DataTypes

    def find(self, text: str, only: Collection[str] = ()) -> list[Candidate]:
        """Candidates in the order of the text, of the types in `only` if there are any.

        What lies within a longer find (the domain of an e-mail address) is none of its own.
        """
        found: dict[tuple[int, int, str], Candidate] = {}
        for recognizer in self.recognizers:
            entities = recognizer.supported_entities
            for result in recognizer.analyze(text=text, entities=entities, nlp_artifacts=None) or ():
                try:
                    kind = self.types.find(result.entity_type)
                except InputError:
                    continue
                if not only or kind.name in only:
                    key = (result.start, result.end, kind.name)
                    found.setdefault(key, Candidate(kind, result.start, result.end))
        longest_first = sorted(found, key=lambda key: (key[0], -key[1]))
        kept, furthest = [], -1
        begun = -1
        for key in longest_first:
            start, end, _ = key
            if end > furthest or (start, end) == (begun, furthest):
                kept.append(found[key])
                begun, furthest = start, max(end, furthest)
        return kept


def open_detector(when: Literal["none", "missing", "all"], types: DataTypes) -> Detector | None:
    """Raises MissingExtraError where presidio is not installed."""
    if when == "none":
        return None
    try:
        from presidio_analyzer import PatternRecognizer, RecognizerRegistry
        from presidio_analyzer.predefined_recognizers import PhoneRecognizer
        from tldextract import TLDExtract, tldextract
    except ImportError as error:
        raise MissingExtraError("presidio-analyzer", "detect", "pii.detect") from error
    # Presidio asks it about every e-mail address, and it would fetch the list of public suffixes: the list it
    # brings along does, and nothing is asked for on the network.
    tldextract.TLD_EXTRACTOR = TLDExtract(cache_dir=None, suffix_list_urls=())
    registry = RecognizerRegistry()
    registry.load_predefined_recognizers()
    alone = (PatternRecognizer, PhoneRecognizer)
    return Detector(tuple(one for one in registry.recognizers if isinstance(one, alone)), types)
