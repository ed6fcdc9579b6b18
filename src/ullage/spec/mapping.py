"""A Python mapping as the data of a workload file."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from os import PathLike, fspath
from typing import Final

from ullage.spec.document import Document
from ullage.spec.mistake import Mistake, Path, listed, shorten
from ullage.spec.tree import LARGEST_DEPTH, LARGEST_TREE

NAME: Final = "the mapping"


def read_mapping(given: Mapping[str, object]) -> Document:
    """A document whose mistakes are told by the path of their keys. Raises SpecError for values that no file
    could hold, all at once."""
    copier = _Copier()
    data = copier.copy(given, (), 0)
    document = Document(NAME, data if isinstance(data, dict) else {}, None)
    if copier.mistakes:
        raise document.tell(copier.mistakes)
    return document


class _Copier:
    """Copies plain data within a file's bounds; what is not plain is noted."""

    def __init__(self) -> None:
        self.mistakes: list[Mistake] = []
        self._count = 0

    def copy(self, value: object, path: Path, depth: int) -> object:
        self._count += 1
        if depth > LARGEST_DEPTH or self._count > LARGEST_TREE:
            raise listed(
                NAME,
                [f"{NAME}: nested deeper than {LARGEST_DEPTH} levels, or more than {LARGEST_TREE} values"],
            )
        if isinstance(value, Mapping):
            return self._mapping(value, path, depth)
        if isinstance(value, PathLike):
            return str(fspath(value))
        if isinstance(value, Sequence) and not isinstance(value, str | bytes | bytearray):
            return [self.copy(inner, (*path, place), depth + 1) for place, inner in enumerate(value)]
        return self._scalar(value, path)

    def _mapping(self, value: Mapping[object, object], path: Path, depth: int) -> dict[str, object]:
        found: dict[str, object] = {}
        for key, inner in value.items():
            if isinstance(key, bool) or not isinstance(key, str | int):
                self.mistakes.append(Mistake(path, f"the key {shorten(repr(key), 60)} must be a word"))
                continue
            found[str(key)] = self.copy(inner, (*path, str(key)), depth + 1)
        return found

    def _scalar(self, value: object, path: Path) -> object:
        if isinstance(value, float) and not math.isfinite(value):
            self.mistakes.append(Mistake(path, f"{value}: a number must be finite"))
        elif isinstance(value, int) and abs(value) > 2**63:
            self.mistakes.append(Mistake(path, f"{shorten(hex(value), 40)}: the number is too large"))
        elif value is None or isinstance(value, str | int | float):
            return value
        else:
            problem = (
                f"{shorten(repr(value), 60)} is a {type(value).__name__}; a workload holds text, numbers, "
                "true and false, lists and mappings"
            )
            self.mistakes.append(Mistake(path, problem))
        return None
