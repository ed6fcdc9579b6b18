"""JSON that vouches for itself: a document, or a line, that ends with the SHA-256 of the rest of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from typing_extensions import TypedDict

from ullage.errors import FormatError
from ullage.files import check_ordinary, read_bytes
from ullage.records.atomic import write_text

SEAL: Final = "sha256"
"""The last field of what vouches for itself."""
LARGEST_DOCUMENT: Final = 256 * 2**20
"""Bytes; the plan of eight roles and a hundred phases in a manifest has one or two million."""
CHANGED: Final = "was changed since it was written (its SHA-256 differs)"


class Sealed(TypedDict):
    """What a document ends with that vouches for itself."""

    sha256: str


class MaybeSealed(TypedDict, total=False):
    """The same of what is printed too, without one."""

    sha256: str


def write_sealed(path: Path, document: Mapping[str, object]) -> None:
    """Writes a document with its seal, whole or not at all."""
    write_text(path, _document_text(document))


def read_sealed(path: Path) -> dict[str, object]:
    """The document at `path` without its seal.

    Raises FormatError unless the file is, byte for byte, what `write_sealed` writes; FileNotFoundError.
    """
    check_ordinary(path)
    try:
        data = read_bytes(path, LARGEST_DOCUMENT)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise FormatError(f"{path}: cannot be read: {error.strerror or error}") from error
    found = _object(data)
    if found is None:
        raise FormatError(f"{path}: is no JSON document; it was changed or cut short")
    if SEAL not in found:
        raise FormatError(f"{path}: lacks its SHA-256: it is of an earlier version, or was changed")
    del found[SEAL]
    if _encoded(_document_text(found)) != data:
        raise FormatError(f"{path}: {CHANGED}")
    return found


def sealed_line(row: Mapping[str, object]) -> bytes:
    """A row as a line that vouches for itself."""
    body = json.dumps(row, ensure_ascii=False)
    return _encoded(json.dumps({**row, SEAL: _digest(body)}, ensure_ascii=False) + "\n")


def read_line(line: bytes) -> dict[str, object] | None:
    """The row in a line, its end included; None unless it is what `sealed_line` writes."""
    found = _object(line)
    if found is None or SEAL not in found:
        return None
    del found[SEAL]
    return found if sealed_line(found) == line else None


def _document_text(document: Mapping[str, object]) -> str:
    body = json.dumps(document, indent=1, ensure_ascii=False)
    return json.dumps({**document, SEAL: _digest(body)}, indent=1, ensure_ascii=False) + "\n"


def _object(data: bytes) -> dict[str, object] | None:
    try:
        found: object = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _digest(text: str) -> str:
    return hashlib.sha256(_encoded(text)).hexdigest()


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
