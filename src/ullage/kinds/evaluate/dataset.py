"""Opens a data set: JSON lines, a JSON document, Parquet, CSV, or a folder that `datasets` saved."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from ullage.capture.tokens import is_text, read_records
from ullage.errors import InputError, MissingExtraError
from ullage.files import placed
from ullage.kinds.evaluate.questions import FORMATS, Fields, Question, Reader, Record, read_questions
from ullage.kinds.evaluate.section import Section


def open_questions(section: Section, base: Path) -> tuple[tuple[Question, ...], list[Question]]:
    """The worked examples and the questions of the section's input, whose paths are relative to `base`.

    Raises InputError naming the file and record for what cannot be read.
    """
    if not section.files():
        raise InputError("evaluate: input: is missing; name a file of questions")
    mapped = Fields(**section.fields.model_dump())
    read: Reader = mapped.read if section.format == "fields" else FORMATS[section.format]
    limit = None if section.limit is None else section.limit + section.shots
    rows = ((name, *row) for name in section.files() for row in _rows(placed(name, base)))
    found = read_questions(rows, read, limit)
    if not found:
        raise InputError(f"{', '.join(section.files())}: holds no questions")
    if len(found) <= section.shots:
        held = f"{len(found)} question{'' if len(found) == 1 else 's'}"
        raise InputError(f"{', '.join(section.files())}: holds {held}, of which shots takes {section.shots}")
    return tuple(found[: section.shots]), found[section.shots :]


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
    return read_records(path, "question")


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
    for number, record in enumerate(body, 1):
        if not is_text(record):
            raise InputError(f"{path}: record {number} holds half of a surrogate pair, which no text has")
        yield number, record


def _arrow(path: Path, kind: str) -> Iterator[tuple[int, Record]]:
    import pyarrow
    import pyarrow.csv
    import pyarrow.parquet

    try:
        with path.open("rb") as file:  # pyarrow takes a path for an address
            if kind == "csv":
                batches = pyarrow.csv.open_csv(file)
            else:
                batches = pyarrow.parquet.ParquetFile(file).iter_batches()
            rows = chain.from_iterable(batch.to_pylist() for batch in batches)
            yield from enumerate(rows, 1)
    except (pyarrow.ArrowException, OSError) as error:
        said = " ".join(str(error).split())
        raise InputError(f"{path}: not a {kind} file that can be read: {said}") from error


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
