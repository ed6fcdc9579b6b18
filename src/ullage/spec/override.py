"""`--set path=value`: changes to a document before it is validated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ullage.errors import SpecError, nearest
from ullage.spec.document import Document, read_value
from ullage.spec.guide_keys import name_models
from ullage.spec.mistake import Path, shorten
from ullage.spec.tree import LARGEST_DEPTH


def apply_overrides(document: Document, overrides: Sequence[str]) -> list[str]:
    """Sets each value in `document`; returns a line for every override that cannot be followed.

    Names of fields are left to validation, which knows them; here only roles and list entries must
    exist.
    """
    wrong = []
    name_models(document.data)
    for override in overrides:
        shown = shorten(override, 80)
        problem = _apply(document, override, shown)
        if problem:
            wrong.append(f"--set {shown}: {problem}")
        name_models(document.data)
    return wrong


def _apply(document: Document, text: str, shown: str) -> str:
    """What is wrong with the override; empty when it was applied."""
    path_text, equals, value_text = text.partition("=")
    parts = path_text.strip().split(".")
    if not equals or not all(parts):
        return "write path=value, for example batch=8"
    if len(parts) > LARGEST_DEPTH:
        return f"nested deeper than {LARGEST_DEPTH} levels"
    try:
        value = read_value(value_text)
    except SpecError as error:
        return f"{error.mistakes[0].partition(': ')[2]}"
    at: Any = document.data
    path: Path = ()
    fresh: Path | None = None
    for index, part in enumerate(parts):
        where = ".".join(parts[:index])
        key: str | int = part
        last = index == len(parts) - 1
        if isinstance(at, list):
            if not (part.isascii() and part.isdigit() and int(part[:9]) < len(at)):
                known = f"0 to {len(at) - 1}" if at else "none"
                return f"{where} has no entry {part}; entries: {known}"
            key = int(part[:9])
        elif not isinstance(at, dict):
            return f"{where} is a single value; it has no {part}"
        elif where == "roles" and part not in at and parts[-1] != "model" and not last:
            close = nearest(part, at) or tuple(at)
            return f"no role {part!r}; nearest: {', '.join(close)}"
        path = (*path, key)
        if last:
            at[key] = value
        else:
            if isinstance(at, dict) and at.get(part) is None:
                if parts[index + 1].isdigit():
                    return f"{'.'.join(parts[: index + 1])} has no entries"
                at[part] = {}
                fresh = fresh or path
            at = at[key]
    document.overridden(fresh or path, shown)
    return ""
