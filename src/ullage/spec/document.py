"""YAML or JSON text as plain data that remembers where every key and value stood."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from ullage.errors import SpecError
from ullage.spec.mistake import Mistake, Path, Place, listed, shorten
from ullage.spec.tree import Tree

LARGEST_TEXT: Final = 1_000_000
"""Characters; a workload file has a few thousand."""


class Document:
    """The data of one file, open to `--set` changes, and the place of everything in it.

    What came from no file has no places (None): mistakes in it are told by their path of keys alone.
    """

    def __init__(self, filename: str, data: dict[str, object], places: dict[Path, Place] | None) -> None:
        self.filename = filename
        self.data = data
        self._written = places is not None
        self._places = places or {}
        self._overrides: dict[Path, str] = {}

    def overridden(self, path: Path, text: str) -> None:
        """Notes that `path` and all below it now come from `--set text`."""
        for inner in [p for p in self._places if p[: len(path)] == path]:
            del self._places[inner]
        self._overrides[path] = text

    def line(self, path: Path) -> int:
        """Where a field stands, counted from 1; 0 where it is not in the file."""
        return self._places[path].line if path in self._places else 0

    def tell(self, mistakes: Iterable[Mistake]) -> SpecError:
        """All mistakes as one error: by place, those of `--set` last."""
        lines = sorted({(*self._place(mistake), _line(mistake)) for mistake in mistakes})
        told = [f"{place}: {text}" if place else text for *_, place, text in lines]
        return listed(self.filename, told)

    def _place(self, mistake: Mistake) -> tuple[int, int, int, str]:
        """Order, line and column, and how the place is written: the closest field known."""
        for length in range(len(mistake.path), -1, -1):
            path = mistake.path[:length]
            if path in self._overrides:
                return 1, 0, 0, f"--set {self._overrides[path]}"
            if path in self._places:
                place = self._places[path]
                at_key = mistake.at_key or length < len(mistake.path)
                line, column = place[2:] if at_key else place[:2]
                return 0, line, column, f"{self.filename}:{line}:{column}"
        return 0, 1, 1, f"{self.filename}:1:1" if self._written else ""


def _line(mistake: Mistake) -> str:
    where = ".".join(shorten(str(part), 60) or '""' for part in mistake.path)
    return f"{where}: {mistake.problem}" if where else mistake.problem


def read_document(text: str, filename: str) -> Document:
    """Parses `text`. Raises SpecError for what is not one mapping of sane size and depth."""
    if len(text) > LARGEST_TEXT:
        problem = f"longer than {LARGEST_TEXT} characters; a workload file has a few thousand"
        raise listed(filename, [f"{filename}:1:1: {problem}"])
    tree = Tree(filename)
    data = tree.read(text)
    if data is None and not tree.mistakes:
        tree.mistakes.append(f"{filename}:1:1: the file is empty; it needs kind and roles")
    elif not isinstance(data, dict) and not tree.mistakes:
        problem = "the file must be a mapping of keys to values, as in kind: extract"
        tree.mistakes.append(f"{filename}:1:1: {problem}")
    if tree.mistakes or not isinstance(data, dict):
        raise listed(filename, tree.mistakes)
    return Document(filename, data, tree.places)


def read_value(text: str) -> object:
    """One YAML value without a file. Raises SpecError."""
    tree = Tree("value")
    value = tree.read(text)
    if tree.mistakes:
        raise listed("value", tree.mistakes)
    return value
