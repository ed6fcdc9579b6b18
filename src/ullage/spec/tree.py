"""Parser events as data, bounded in depth and size whatever the text."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Final, Protocol

import yaml

from ullage.spec.mistake import Path, Place, shorten

LARGEST_DEPTH: Final = 32
LARGEST_TREE: Final = 50_000
"""Values after aliases are followed; what keeps an alias bomb from going off."""
LONGEST_NUMBER: Final = 400
"""Characters; converting a longer one would take time."""

Scalar = str | int | float | bool | None


class _Parser(Protocol):
    """What is asked of PyYAML's loaders, the one on libyaml and the one in Python."""

    def get_event(self) -> yaml.Event: ...

    def resolve(self, kind: type[yaml.Node], value: str, implicit: tuple[bool, bool], /) -> str: ...

    def construct_object(self, node: yaml.Node, /) -> Scalar: ...


_Loader: Callable[[str], _Parser] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TAG: Final = "tag:yaml.org,2002:"
_PLAIN_TAGS: Final = frozenset(_TAG + name for name in ("int", "float", "bool", "null"))
_JSON_NUMBER: Final = re.compile(r"-?\d+[eE][-+]?\d+")
"""A number to JSON, a word to YAML 1.1."""
_UNFINISHED: Final = object()
_NOWHERE: Final = "\0"
"""Part of a path nobody asks for: what stands under a key that is refused."""


class _Stop(Exception):
    """Reading on is pointless; the reason stands among the mistakes."""


class Tree:
    """Builds data from parser events, so that depth is bounded before anything recurses.

    (libyaml's own composer overflows the stack on deep nesting.)
    """

    def __init__(self, filename: str) -> None:
        self.places: dict[Path, Place] = {}
        self.mistakes: list[str] = []
        self._filename = filename
        self._anchors: dict[str, object] = {}
        self._count = 0
        self._parser: _Parser

    def read(self, text: str) -> object:
        """The one document in `text`, None for an empty one; what is wrong goes to `mistakes`."""
        try:
            self._parser = _Loader(text)
            self._parser.get_event()
            if isinstance(self._parser.get_event(), yaml.StreamEndEvent):
                return None
            data = self._value(self._parser.get_event(), (), 0)
            self._parser.get_event()
            after = self._parser.get_event()
            if not isinstance(after, yaml.StreamEndEvent):
                self._wrong(after, "a second document begins; a file holds one workload")
        except _Stop:
            return None
        except yaml.MarkedYAMLError as error:
            self._broken(error, text)
        except (yaml.YAMLError, ValueError) as error:
            reason = " ".join(str(error).split())
            self.mistakes.append(f"{self._filename}:1:1: broken YAML: {shorten(reason, 200)}")
        else:
            return data
        return None

    def _broken(self, error: yaml.MarkedYAMLError, text: str) -> None:
        mark = error.problem_mark or error.context_mark
        where = f"{mark.line + 1}:{mark.column + 1}" if mark else "1:1"
        hint = ""
        if mark is not None:
            lines = text.splitlines()
            line = lines[mark.line] if mark.line < len(lines) else ""
            if line[mark.column : mark.column + 1] == "\t":
                hint = "; this is a tab: indent with spaces"
        problem = error.problem or error.context or "cannot be read"
        self.mistakes.append(f"{self._filename}:{where}: broken YAML: {problem}{hint}")

    def _wrong(self, event: yaml.Event, problem: str) -> None:
        line, column = _begin(event)
        self.mistakes.append(f"{self._filename}:{line}:{column}: {problem}")

    def _stop(self, event: yaml.Event, problem: str) -> _Stop:
        self._wrong(event, problem)
        return _Stop()

    def _value(self, event: yaml.Event, path: Path, depth: int) -> object:
        self._grow(event, depth)
        line, column = _begin(event)
        self.places.setdefault(path, Place(line, column, line, column))
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, depth)
        if isinstance(event, yaml.ScalarEvent):
            value: object = self._scalar(event)
        else:
            assert isinstance(event, yaml.CollectionStartEvent)
            if event.anchor is not None:
                self._anchors[event.anchor] = _UNFINISHED
            if event.tag not in (None, "!", _TAG + "map", _TAG + "seq"):
                self._wrong(event, f"tag {shorten(event.tag, 60)!r} means nothing here; leave it out")
            mapping = isinstance(event, yaml.MappingStartEvent)
            value = self._mapping(path, depth) if mapping else self._sequence(path, depth)
        if event.anchor is not None:
            self._anchors[event.anchor] = value
        return value

    def _grow(self, event: yaml.Event, depth: int) -> None:
        self._count += 1
        if self._count > LARGEST_TREE:
            problem = f"more than {LARGEST_TREE} values, aliases followed; a workload has hundreds"
            raise self._stop(event, problem)
        if depth > LARGEST_DEPTH:
            raise self._stop(event, f"nested deeper than {LARGEST_DEPTH} levels")

    def _alias(self, event: yaml.AliasEvent, depth: int) -> object:
        if event.anchor not in self._anchors:
            self._wrong(event, f"alias *{event.anchor}: no anchor &{event.anchor} stands before it")
            return None
        value = self._anchors[event.anchor]
        if value is _UNFINISHED:
            raise self._stop(event, f"alias *{event.anchor} contains itself")
        return self._copy(value, event, depth)

    def _copy(self, value: object, event: yaml.Event, depth: int) -> object:
        self._grow(event, depth)
        if isinstance(value, dict):
            return {key: self._copy(inner, event, depth + 1) for key, inner in value.items()}
        if isinstance(value, list):
            return [self._copy(inner, event, depth + 1) for inner in value]
        return value

    def _sequence(self, path: Path, depth: int) -> list[object]:
        found: list[object] = []
        while not isinstance(event := self._parser.get_event(), yaml.SequenceEndEvent):
            found.append(self._value(event, (*path, len(found)), depth + 1))
        return found

    def _mapping(self, path: Path, depth: int) -> dict[str, object]:
        found: dict[str, object] = {}
        while not isinstance(event := self._parser.get_event(), yaml.MappingEndEvent):
            key = self._key(event, depth)
            inner = (*path, _NOWHERE if key is None else key)
            if key is not None and key in found:
                first = self.places[inner].key_line
                self._wrong(event, f"key {shorten(key, 60)!r} stands twice, first on line {first}")
                key, inner = None, (*path, _NOWHERE)
            value_event = self._parser.get_event()
            if key is None:
                self._value(value_event, inner, depth + 1)
                continue
            self.places[inner] = Place(*_begin(value_event), *_begin(event))
            found[key] = self._value(value_event, inner, depth + 1)
        return found

    def _key(self, event: yaml.Event, depth: int) -> str | None:
        """The key as a word; None, and a mistake, for anything else."""
        if not isinstance(event, yaml.ScalarEvent):
            self._wrong(event, "a key must be a word")
            self._value(event, (_NOWHERE,), depth + 1)
            return None
        self._grow(event, depth)
        if event.value == "<<" and event.implicit[0]:
            self._wrong(event, "merge keys (<<) are not read here; write the keys out")
            return None
        key = self._scalar(event)
        if isinstance(key, int) and not isinstance(key, bool):
            return str(key)
        if not isinstance(key, str):
            self._wrong(event, "a key must be a word; put it in quotes")
            return None
        return key

    def _scalar(self, event: yaml.ScalarEvent) -> Scalar:
        tag, text = event.tag, event.value
        if tag in (None, "!"):
            tag = self._parser.resolve(yaml.ScalarNode, text, event.implicit)
            if tag not in _PLAIN_TAGS:
                number = event.implicit[0] and _JSON_NUMBER.fullmatch(text)
                return self._finite(event, float(text)) if number else str(text)
        if tag == _TAG + "str":
            return str(text)
        if ":" in text and event.tag is None:
            return str(text)  # YAML 1.1 reads 1:30 as 90, and is slow to
        if tag not in _PLAIN_TAGS:
            self._wrong(event, f"tag {shorten(tag, 60)!r} means nothing here; leave it out")
            return None
        try:
            if len(text) > LONGEST_NUMBER or ":" in text:
                raise ValueError
            node = yaml.ScalarNode(tag, text)
            value: Scalar = self._parser.construct_object(node)
        except (yaml.YAMLError, ValueError, LookupError, OverflowError):
            self._wrong(event, f"cannot read the value {shorten(text, 40)!r}")
            return None
        return self._finite(event, value)

    def _finite(self, event: yaml.ScalarEvent, value: Scalar) -> Scalar:
        if isinstance(value, float) and not math.isfinite(value):
            self._wrong(event, f"{shorten(event.value, 40)}: a number must be finite")
            return None
        if isinstance(value, int) and abs(value) > 2**63:
            self._wrong(event, f"{shorten(event.value, 40)}: the number is too large")
            return None
        return value


def _begin(event: yaml.Event) -> tuple[int, int]:
    """Line and column, from 1."""
    mark = event.start_mark
    assert mark is not None
    return mark.line + 1, mark.column + 1
