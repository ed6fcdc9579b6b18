"""Windows of an input: its records with their candidates, given and detected, so many at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from ullage.errors import InputError
from ullage.kinds.pii.detection import Detector
from ullage.kinds.pii.input_lines import Line
from ullage.kinds.pii.offsets import NotARecord
from ullage.kinds.pii.records import Candidate, Record, RecordReader
from ullage.kinds.pii.section import Section
from ullage.kinds.pii.seen import SeenIds

WINDOW_LINES: Final = 4096
WINDOW_CHARACTERS: Final = 32 * 2**20
"""A window of lines is read, verified and written before the next: what is held does not grow."""
MOST_UNREAD: Final = 20
"""Fields of a window's records that are counted by name."""


@dataclass(slots=True)
class Window:
    """Lines that are verified and written together."""

    after: int
    last: int = 0
    records: list[Record] = field(default_factory=list)
    rejects: list[dict[str, object]] = field(default_factory=list)
    candidates: int = 0
    characters: int = 0
    unread: dict[str, int] = field(default_factory=dict)

    def add(self, record: Record) -> None:
        """One more record; of one without candidates the fields that were not read are counted."""
        self.records.append(record)
        self.candidates += len(record.candidates)
        self.characters += len(record.text)
        for name in record.unread if not record.candidates else ():
            if name in self.unread or len(self.unread) < MOST_UNREAD:
                self.unread[name] = self.unread.get(name, 0) + 1


@dataclass(frozen=True, slots=True)
class WindowReader:
    """`most` is how many candidates fill a window; `wanted` are the types that are verified, all if none."""

    section: Section
    reader: RecordReader
    seen: SeenIds
    detector: Detector | None
    wanted: frozenset[str]
    most: int

    def read(self, lines: Iterator[Line], name: str, after: int) -> Iterator[Window]:
        """The lines that come after line `after`. With `strict`, raises InputError at one that is no record,
        which `name` tells the file of."""
        window = Window(after)
        for line in lines:
            reason = line.reason
            if line.record is not None:
                try:
                    window.add(self._record(line.number, line.record))
                except NotARecord as error:
                    reason = str(error)
            if reason:
                if self.section.strict:
                    raise InputError(f"{name}:{line.number}: {reason}")
                window.rejects.append({"line": line.number, "reason": reason})
            window.last = line.number
            many = len(window.records) + len(window.rejects) >= WINDOW_LINES
            if many or window.candidates >= self.most or window.characters >= WINDOW_CHARACTERS:
                yield window
                window = Window(window.last)
        if window.records or window.rejects:
            yield window

    def _record(self, number: int, given: Mapping[str, object]) -> Record:
        record = self.reader.read(number, given)
        if record.id is not None and not self.seen.add(record.id, number):
            raise NotARecord("its id is that of an earlier record")
        candidates = list(record.candidates)
        alone = all(one.bare for one in candidates)
        bare = {kind.name for one in candidates if one.bare for kind in one.types}
        if self.detector is not None and (self.section.detect == "all" or alone):
            candidates = self._detected(self.detector, record.text, candidates, bare)
        if self.wanted:
            candidates = [left for one in candidates if (left := one.only(self.wanted)) is not None]
        return replace(record, candidates=tuple(candidates))

    def _detected(
        self, detector: Detector, text: str, given: list[Candidate], bare: set[str]
    ) -> list[Candidate]:
        """The candidates, with what the detector finds: of bare types where there are any, else of all.

        What is found of a bare type stands in its place.
        """
        only = bare & self.wanted if bare and self.wanted else bare or self.wanted
        known = {(one.type.name, one.start, one.end) for one in given}
        found = [one for one in detector.find(text, only) if (one.type.name, one.start, one.end) not in known]
        by_type: dict[str, list[Candidate]] = {}
        for one in found:
            by_type.setdefault(one.type.name, []).append(one)
        there = frozenset(by_type)
        placed: list[Candidate] = []
        for one in given:
            names = [kind.name for kind in one.types if one.bare and kind.name in there]
            placed += [each for name in names for each in by_type.pop(name, [])] if names else [one]
        return placed + [one for some in by_type.values() for one in some]
