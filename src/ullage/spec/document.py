"""YAML or JSON text as plain data that remembers where every field stood."""

from __future__ import annotations

import math
from typing import Any, Final

import yaml

from ullage.errors import SpecError

LARGEST_TEXT: Final = 1_000_000
"""Characters; a workload file has a few thousand."""
LARGEST_DEPTH: Final = 32
LARGEST_TREE: Final = 50_000
"""Values after aliases are followed; what keeps an alias bomb from going off."""

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
Path = tuple[str | int, ...]


class Document:
    """`data` and the (line, column) of each field, counted from 1."""

    def __init__(self, data: dict[str, Any], places: dict[Path, tuple[int, int]]) -> None:
        self.data = data
        self._places = places

    def place(self, path: Path) -> tuple[int, int]:
        """Where `path` stands, or the closest field around it."""
        for length in range(len(path), -1, -1):
            if path[:length] in self._places:
                return self._places[path[:length]]
        return 1, 1

    def mark(self, path: Path) -> None:
        """Notes that `path` comes from the command line, shown as line 0."""
        self._places[path] = (0, 0)


def read_value(text: str) -> object:
    """One YAML value, keys as text. Raises yaml.YAMLError."""
    _check_depth(text)
    return _text_keys(yaml.load(text, Loader=_Loader))


def _text_keys(value: object) -> object:
    if isinstance(value, dict):
        return {str(key): _text_keys(inner) for key, inner in value.items()}
    return [_text_keys(inner) for inner in value] if isinstance(value, list) else value


def _check_depth(text: str) -> None:
    """Walks the events, which nest without recursion: composing a tree of any depth would overrun the
    C stack. Raises yaml.MarkedYAMLError."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
            depth += 1
            if depth > LARGEST_DEPTH:
                problem = f"nested deeper than {LARGEST_DEPTH} levels"
                raise yaml.MarkedYAMLError(problem=problem, problem_mark=event.start_mark)  # type: ignore[arg-type]
        elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            depth -= 1


def read_document(text: str, filename: str) -> Document:
    """Parses `text`. Raises SpecError for what is not one mapping of sane size and depth."""
    if len(text) > LARGEST_TEXT:
        raise SpecError([f"{filename}:1:1: longer than {LARGEST_TEXT} characters"])
    try:
        _check_depth(text)
        root = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{mark.line + 1}:{mark.column + 1}" if mark else "1:1"
        raise SpecError([f"{filename}:{where}: broken YAML: {error.problem}"]) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        first = str(error).splitlines()[0] if str(error) else "nested too deeply"
        raise SpecError([f"{filename}:1:1: broken YAML: {first}"]) from error
    if root is None:
        raise SpecError([f"{filename}:1:1: the file is empty; it needs kind and roles"])
    reader = _Tree(filename)
    data = reader.read(root, (), 0)
    if not isinstance(data, dict):
        reader.mistakes.insert(0, f"{filename}:1:1: the file must be a mapping of keys to values")
    if reader.mistakes:
        raise SpecError(reader.mistakes)
    return Document(data, reader.places)


class _Tree:
    """Turns nodes into data; collects what is wrong with their form."""

    def __init__(self, filename: str) -> None:
        self.places: dict[Path, tuple[int, int]] = {}
        self.mistakes: list[str] = []
        self._filename = filename
        self._count = 0
        self._scalars = _Loader("")

    def _wrong(self, node: yaml.Node, problem: str) -> None:
        mark = node.start_mark
        self.mistakes.append(f"{self._filename}:{mark.line + 1}:{mark.column + 1}: {problem}")

    def read(self, node: yaml.Node, path: Path, depth: int) -> Any:
        self._count += 1
        if self._count > LARGEST_TREE:
            self._wrong(node, f"more than {LARGEST_TREE} values; aliases may repeat themselves")
            raise SpecError(self.mistakes)
        if depth > LARGEST_DEPTH:
            self._wrong(node, f"aliases nest deeper than {LARGEST_DEPTH} levels")
            raise SpecError(self.mistakes)
        self.places.setdefault(path, (node.start_mark.line + 1, node.start_mark.column + 1))
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path, depth)
        if isinstance(node, yaml.SequenceNode):
            return [self.read(item, (*path, i), depth + 1) for i, item in enumerate(node.value)]
        return self._scalar(node)

    def _mapping(self, node: yaml.MappingNode, path: Path, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = self._scalar(key_node) if isinstance(key_node, yaml.ScalarNode) else None
            if isinstance(key, int) and not isinstance(key, bool):
                key = str(key)
            if not isinstance(key, str):
                self._wrong(key_node, "a key must be a word")
                continue
            if key in found:
                self._wrong(key_node, f"key {key!r} stands twice")
                continue
            mark = key_node.start_mark
            self.places[(*path, key)] = (mark.line + 1, mark.column + 1)
            found[key] = self.read(value_node, (*path, key), depth + 1)
        return found

    def _scalar(self, node: yaml.Node) -> Any:
        try:
            value = self._scalars.construct_object(node, deep=True)
        except (yaml.YAMLError, ValueError, OverflowError):
            self._wrong(node, f"cannot read the value {str(node.value)[:40]!r}")
            return None
        if isinstance(value, float) and not math.isfinite(value):
            self._wrong(node, "a number must be finite")
            return None
        if isinstance(value, int) and abs(value) > 2**63:
            self._wrong(node, "the number is too large")
            return None
        return value if isinstance(value, str | int | float | bool | None) else str(value)
