"""Candidates of texts that have none, from presidio's patterns, which need no language model."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Literal

from ullage.errors import InputError, MissingExtraError
from ullage.workloads.pii.records import Candidate
from ullage.workloads.pii.types import DataTypes


@dataclass(frozen=True, slots=True)
class Detector:
    """Presidio's pattern recognizers; what they find of unknown types is left out."""

    recognizers: tuple[Any, ...]
    types: DataTypes

    def find(self, text: str, only: Collection[str] = ()) -> list[Candidate]:
        """Candidates in the order of the text, of the types in `only` if there are any."""
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
        return [found[key] for key in sorted(found)]


def open_detector(when: Literal["none", "missing", "all"], types: DataTypes) -> Detector | None:
    """Raises MissingExtraError where presidio is not installed."""
    if when == "none":
        return None
    try:
        from presidio_analyzer import PatternRecognizer, RecognizerRegistry
    except ImportError as error:
        raise MissingExtraError("presidio-analyzer", "detect", "pii.detect") from error
    registry = RecognizerRegistry()
    registry.load_predefined_recognizers()
    some = tuple(one for one in registry.recognizers if isinstance(one, PatternRecognizer))
    return Detector(some, types)
