"""What a file of records is, told from its first bytes: its packing, its form, or what else it may be."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from typing import Final, Literal

from ullage.kinds.pii.field_names import TEXTS, fold, shown

Form = Literal["lines", "values", "table", "parquet"]
"""JSON lines; JSON values, in an array or one after another; CSV; Parquet."""
BOM: Final = b"\xef\xbb\xbf"
DELIMITERS: Final = ",\t;|"
PACKINGS: Final = {b"\x1f\x8b": "gzip", b"BZh": "bzip2"}
PARQUET: Final = b"PAR1"
FOREIGN: Final[Sequence[tuple[bytes, str]]] = (
    (b"PK\x03\x04", "a ZIP archive (.xlsx and .docx are such)"),
    (b"%PDF", "a PDF"),
    (b"\x89PNG", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"SQLite format 3", "an SQLite database"),
    (b"\x28\xb5\x2f\xfd", "packed with zstd; unpack it first"),
    (b"\xfd7zXZ", "packed with xz; unpack it first"),
    (b"7z\xbc\xaf", "a 7z archive"),
    (b"ARROW1", "an Arrow file; write Parquet"),
    (b"\x89HDF", "an HDF5 file"),
    (b"\xff\xfe", "UTF-16 text; save it as UTF-8"),
    (b"\xfe\xff", "UTF-16 text; save it as UTF-8"),
    (b"\x80\x04\x95", "a Python pickle"),
    (b"\x80\x05\x95", "a Python pickle"),
)
MARKUP: Final = (b"<?xml", b"<!doctype", b"<html")
KNOWN_TEXTS: Final = frozenset(map(fold, TEXTS))


def foreign(head: bytes) -> str:
    """What a file that holds no text looks like; empty where it may hold records."""
    return next((name for magic, name in FOREIGN if head.startswith(magic)), "")


def form_of(line: bytes, name: str, text_field: str | None) -> Form:
    """The form of a file called `name` that begins with this line, blank ones left out."""
    start = line.removeprefix(BOM).strip()
    if start.startswith(b"["):
        return "lines" if start[1:].lstrip()[:1] not in (b"", b"{", b"[", b"]") else "values"
    if start == b"{":
        return "values"
    if start.startswith(b"{"):
        return "lines"
    columns = [fold(column) for column in columns_of(line)]
    wanted = KNOWN_TEXTS if text_field is None else {fold(text_field)}
    endings = name.casefold().split(".")[1:]
    table = any(column in wanted for column in columns) or "csv" in endings or "tsv" in endings
    return "table" if table else "lines"


def columns_of(line: bytes) -> list[str]:
    """The cells of a table's first line."""
    text = line.removeprefix(BOM).decode("utf-8", "replace")
    try:
        return next(csv.reader([text], delimiter=delimiter_of(text)), [])
    except csv.Error:
        return []


def delimiter_of(text: str) -> str:
    """The one that cuts a table's first line into most cells."""
    return max(DELIMITERS, key=text.count)


def _is_text(start: bytes) -> bool:
    try:
        return "\0" not in start.decode()
    except UnicodeDecodeError as error:
        return error.reason == "unexpected end of data"  # a line that is looked at in part


def looks_like(line: bytes, form: Form) -> str:
    """What text that holds no record looks like, from its first line and the form in which it was read."""
    start = line.removeprefix(BOM).strip()
    if form == "values":
        return "a JSON array" if start.startswith(b"[") else "JSON values"
    if not start:
        return "an empty file"
    if start[:9].lower().startswith(MARKUP):
        return "XML or HTML"
    if start[:1] in (b"{", b"["):
        try:
            first = json.loads(start)
        except (ValueError, RecursionError):
            return "broken JSON"
        if isinstance(first, dict):
            return f"JSON with the fields {shown(first)}"
        return "JSON without records"
    if not _is_text(start):
        return "bytes that are no text"
    columns = columns_of(line)
    if len(columns) > 1 and all(cell and not cell[0].isspace() for cell in columns):
        return f"a table with the columns {shown(columns)}"
    return "plain text; write each text as JSON: jq -R '{text: .}'"
