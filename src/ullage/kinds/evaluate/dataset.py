"""Opens a data set: JSON lines, a JSON document, Parquet, CSV, or a folder that `datasets` saved."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import chain, islice, repeat
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

from ullage.capture.tokens import count_records, read_records
from ullage.errors import InputError, MissingExtraError
from ullage.files import placed
from ullage.kinds.evaluate.questions import FORMATS, Question, Reader, Record, Unread, read_questions
from ullage.kinds.evaluate.questions import Fields as QuestionFields
from ullage.kinds.evaluate.section import Section
from ullage.records.failing import Failing, count_failing
from ullage.records.parts import Part

if TYPE_CHECKING:
    import pyarrow.csv

AHEAD: Final = 10_000
"""Questions that are looked at before anything is done."""
CONTEXT: Final = "context"
OTHERS: Final = (".parquet", ".csv", ".json")
"""Ends of names of what is no file of one record a line."""


class Questions:
    """The questions of a section's input, read from its files each time they are gone through.

    `shots` are the worked examples. Raises InputError naming the file and record for what cannot be read: of
    the first AHEAD at once, of later ones when they are reached.
    """

    def __init__(self, section: Section, base: Path, part: Part | None = None) -> None:
        """`base` is what the input's paths are relative to; of a `part` those alone that are in it, which are
        taken as they are. Raises InputError where there are none to ask."""
        if not section.files():
            raise InputError("evaluate: input: is missing; name a file of questions")
        self._section, self._base, self._part = section, base, part
        self._mapped = QuestionFields(**section.fields.model_dump())
        self.shots: tuple[Question, ...] = ()
        self.remarks: tuple[str, ...] = ()
        if part is None:
            self._look_ahead()

    def _look_ahead(self) -> None:
        section = self._section
        held = tuple(islice(self._all(), section.shots + 1))
        if not held:
            reasons = [reason for each in self.unread() for reason in each.reasons]
            why = "; ".join(reasons) or "holds no questions"
            raise InputError(f"{', '.join(section.files())}: {why}")
        if len(held) <= section.shots:
            there = f"{len(held)} question{'' if len(held) == 1 else 's'}"
            raise InputError(
                f"{', '.join(section.files())}: holds {there}, of which shots takes {section.shots}"
            )
        self.shots = held[: section.shots]
        self._first = sum(1 for _ in islice(self._all(), AHEAD))
        if section.format == "fields":
            lacking = self._mapped.lacking(record for _, _, record in islice(self._records(), AHEAD))
            if lacking:
                raise InputError(f"{', '.join(section.files())}: {lacking}")
        self.remarks = tuple(self._unused())

    def __iter__(self) -> Iterator[Question]:
        return islice(self._all(), self._section.shots, None)

    def about(self, planned: int) -> int:
        """How many there are: `planned`, where that cannot be counted without reading more than AHEAD."""
        if self._part is not None:
            return self._part.records
        if self._first < AHEAD:
            return self._first - self._section.shots
        paths = [placed(name, self._base) for name in self._section.files()]
        mapped = self._section.format != "coqa" and not any(path.suffix in OTHERS for path in paths)
        if not mapped or any(path.is_dir() for path in paths):
            return planned
        most = self._section.limit or sum(map(count_records, paths)) - self._section.shots
        return max(most, 0)

    def unread(self) -> tuple[Failing, ...]:
        """How many records cannot be read, and why each of the first of them, if there are any."""
        reasons: list[str] = []
        read = sum(1 for _ in self._all(reasons.append))
        found = count_failing("questions", [*reasons, *repeat(None, read)])
        return (found,) if reasons else ()

    def _unused(self) -> Iterator[str]:
        """A context that records have and nobody asked for: answers without it are answers to less."""
        section = self._section
        unsaid = section.format == "fields" and CONTEXT not in section.fields.model_fields_set
        if unsaid and any(record.get(CONTEXT) for _, _, record in islice(self._records(), AHEAD)):
            yield (
                f"records have a field {CONTEXT!r}, which no model is shown; set evaluate.fields.{CONTEXT}: "
                f"{CONTEXT}, or null to be asked without"
            )

    def left_out(self) -> dict[int, str]:
        """Of a partition, the questions by number whose records are left out, with the reason."""
        if self._part is None or not self._part.rejected:
            return {}
        rejected = self._part.rejected
        numbered = enumerate((line for line, _ in self.numbered()), self._part.item)
        return {index: rejected[line] for index, line in numbered if line in rejected}

    def numbered(self, unread: Unread = lambda reason: None) -> Iterator[tuple[int, Question]]:
        """Each with the number of its record, those of `shots` too."""
        section = self._section
        read: Reader = self._mapped.read if section.format == "fields" else FORMATS[section.format]
        before = 0 if self._part is None else self._part.item
        limit = None if section.limit is None else section.limit + section.shots - before
        return read_questions(self._records, read, limit, unread)

    def _all(self, unread: Unread = lambda reason: None) -> Iterator[Question]:
        return (question for _, question in self.numbered(unread))

    def _records(self) -> Iterator[tuple[str, int, Record]]:
        rows = _rows if self._part is None else partial(_rows_of, self._part)
        return ((name, *row) for name in self._section.files() for row in rows(placed(name, self._base)))


def _rows(path: Path) -> Iterator[tuple[int, Record]]:
    """(number from 1, record)."""
    if path.is_dir():
        return _saved(path)
    if path.suffix == ".parquet":
        return _arrow(path, "parquet")
    if path.suffix == ".csv":
        return _arrow(path, "csv")
    if path.suffix == ".json":
        return _document(path)
    return read_records(path, "question", halves=True)


def _rows_of(part: Part, path: Path) -> Iterator[tuple[int, Record]]:
    """Of a partition, what is left out of it too: every question keeps its place."""
    return read_records(path, "question", halves=True, part=replace(part, rejected={}))


def _document(path: Path) -> Iterator[tuple[int, Record]]:
    """A list of records, or an object with one under `questions` or `data`, as BioASQ and CoQA have."""
    try:
        body = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: not a JSON document: {error}") from error
    if isinstance(body, dict):
        body = next((body[name] for name in ("questions", "data") if name in body), None)
    if not isinstance(body, list) or not all(isinstance(record, dict) for record in body):
        raise InputError(f"{path}: not a list of records, nor an object with one under questions or data")
    yield from enumerate(body, 1)


def _arrow(path: Path, kind: str) -> Iterator[tuple[int, Record]]:
    import pyarrow
    import pyarrow.csv
    import pyarrow.parquet

    try:
        with path.open("rb") as file:  # pyarrow takes a path for an address
            if kind == "csv":
                batches = _texts_of_csv(file)
            else:
                batches = pyarrow.parquet.ParquetFile(file).iter_batches()
            rows = chain.from_iterable(batch.to_pylist() for batch in batches)
            yield from enumerate(rows, 1)
    except (pyarrow.ArrowException, OSError) as error:
        said = " ".join(str(error).split())
        raise InputError(f"{path}: not a {kind} file that can be read: {said}") from error


def _texts_of_csv(file: BinaryIO) -> pyarrow.csv.CSVStreamingReader:
    """Every cell is the text that stands there: 007 is no number, and 1.0 no 1."""
    import pyarrow
    import pyarrow.csv

    names = pyarrow.csv.open_csv(file).schema.names
    twice = [name for name, count in Counter(names).items() if name and count > 1]
    if twice:
        raise InputError(f"{file.name}: column {twice[0]!r} is there twice; give each a name of its own")
    file.seek(0)
    texts = pyarrow.csv.ConvertOptions(column_types=dict.fromkeys(names, pyarrow.string()))
    return pyarrow.csv.open_csv(file, convert_options=texts)


def _saved(path: Path) -> Iterator[tuple[int, Record]]:
    try:
        import datasets
    except ImportError as error:
        raise MissingExtraError("datasets", "evaluate", f"{path}, a folder") from error
    try:
        found = datasets.load_from_disk(str(path))
    except (FileNotFoundError, ValueError, OSError) as error:
        raise InputError(f"{path}: not a folder that `datasets` saved: {error}") from error
    if isinstance(found, datasets.DatasetDict):
        raise InputError(f"{path}: holds several splits; name the folder of one: {', '.join(found)}")
    yield from enumerate(iter(found), 1)
