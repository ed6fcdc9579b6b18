"""The file with changes, and changes between one text and another."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from ullage.errors import InputError, SpecError
from ullage.spec.document import read_document
from ullage.spec.override import apply_overrides
from ullage.spec.workload import Workload
from ullage.spec.written import document_text
from ullage.ui.source import Source

_NOTHING: Final = object()


def data_of(source: Source, changes: Sequence[str]) -> dict[str, Any]:
    """What the file says with changes. Raises SpecError for changes that cannot be followed."""
    document = read_document(source.text, source.name)
    wrong = apply_overrides(document, changes)
    if wrong:
        raise SpecError(wrong)
    return document.data


def text_of(source: Source, changes: Sequence[str]) -> str:
    """The file that says the same: its own text where nothing is changed. Raises SpecError."""
    return document_text(data_of(source, changes)) if changes else source.text


def value_at(data: object, path: str) -> object:
    """What stands there; None where nothing does."""
    at = data
    for part in path.split("."):
        if isinstance(at, Mapping):
            at = at.get(part)
        elif isinstance(at, list) and part.isdigit() and int(part) < len(at):
            at = at[int(part)]
        else:
            return None
    return at


def shown(value: object) -> str:
    """A value as a control has it, and as a change sets it."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def changes_between(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[str, ...]:
    """The fewest changes that make one file's data another's. Raises InputError for a key that no path
    names."""
    return tuple(_between((), old, new))


def _between(path: tuple[str, ...], old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    for key in [*new, *(key for key in old if key not in new)]:
        if not re.fullmatch(r"[^.=\s]+", key) or (not path and key not in new and _usual(key) is _NOTHING):
            if path:
                yield _change(path, new)
                return
            raise InputError(f"{key[:60]!r}: a change cannot say this; edit the file itself")
    if path and old.keys() - new.keys():
        yield _change(path, new)
        return
    for key, value in new.items():
        held = old.get(key, _NOTHING)
        if type(value) is type(held) and value == held and repr(value) == repr(held):
            continue
        if isinstance(value, Mapping) and isinstance(held, Mapping):
            yield from _between((*path, key), held, value)
        else:
            yield _change((*path, key), value)
    for key in old if not path else ():
        if key not in new:
            yield _change((key,), _usual(key))


def _usual(key: str) -> object:
    """What leaving a key of a file's top out says. A kind's own part is empty then."""
    if key not in Workload.model_fields:
        return {}
    field = Workload.model_fields[key]
    return _NOTHING if field.is_required() else json.loads(json.dumps(_plain(field.default)))


def _plain(value: Any) -> Any:
    return value.model_dump(exclude_defaults=True) if hasattr(value, "model_dump") else value


def _change(path: tuple[str, ...], value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    if isinstance(value, str) and re.fullmatch(r"[A-Za-z][\w./@ -]*[\w]", value, re.ASCII):
        text = value if value.casefold() not in _WORDS else text
    return f"{'.'.join(path)}={text}"


_WORDS: Final = frozenset({"true", "false", "yes", "no", "on", "off", "null"})
"""What a reader takes for no word."""
