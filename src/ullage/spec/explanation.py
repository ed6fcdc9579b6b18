"""Pydantic's errors in plain words, with the field they belong to and the nearest valid name."""

from __future__ import annotations

import re
import types
from collections.abc import Collection, Iterator, Sequence
from typing import Annotated, Final, TypeGuard, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from ullage.errors import nearest
from ullage.spec.guide_keys import ROLE_KEYS
from ullage.spec.installed import all_engines, find_engine, is_engine
from ullage.spec.mistake import LONGEST_LIST, Mistake, Path, shorten
from ullage.spec.role import Role
from ullage.spec.value import Value

_SORTS: Final = {
    "string": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "tuple": "a list",
    "dict": "a mapping of keys to values",
    "model": "a mapping of keys to values",
}
"""What a value should have been, by the first word of pydantic's error type."""
_OTHER_WORDS: Final = "string_pattern_mismatch"
"""pydantic's error type for a text that is none of those which a field takes; its description says which."""
_BOUNDS: Final = {
    "greater_than_equal": ("at least", "ge"),
    "greater_than": ("more than", "gt"),
    "less_than_equal": ("at most", "le"),
    "less_than": ("less than", "lt"),
}


def explain(
    error: ValidationError, model: type[Value], data: object, prefix: Path, extra: Collection[str]
) -> Iterator[Mistake]:
    """One mistake per field. `extra` are keys the top of the file takes beside the model's own."""
    groups: dict[Path, list[ErrorDetails]] = {}
    branches: set[Path] = set()
    for found in error.errors(include_url=False):
        path = _file_path(found["loc"], data, absent=found["type"] == "missing")
        groups.setdefault(path, []).append(found)
        if len(path) < len(found["loc"]):
            branches.add(path)
    within = {path[:length] for path in groups for length in range(len(path))}
    told = 0
    for path, errors in groups.items():
        # A branch of a union failed as a whole, while another failed deeper inside: tell the latter.
        if path in branches and path in within:
            continue
        told += 1
        known = told <= LONGEST_LIST
        yield _mistake(errors, model, path, prefix, extra if known else None)


def _mistake(
    errors: list[ErrorDetails], model: type[Value], path: Path, prefix: Path, extra: Collection[str] | None
) -> Mistake:
    kinds = {error["type"] for error in errors}
    if "extra_forbidden" in kinds:
        return Mistake(prefix + path, _unknown(model, path, extra), at_key=True)
    if "no_effect" in kinds:
        return Mistake(prefix + path, errors[0]["msg"], at_key=True)
    if "missing" in kinds:
        field = _field(model, path)
        description = getattr(field, "description", None)
        return Mistake(prefix + path, "is missing" + (f": {description}" if description else ""))
    problem = _invalid(errors)
    description = getattr(_field(model, path), "description", None)
    if description and all(kind.endswith(("_type", _OTHER_WORDS)) for kind in kinds):
        problem += f": {description}"
    return Mistake(prefix + path, problem)


def _invalid(errors: Sequence[ErrorDetails]) -> str:
    given = errors[0]["input"]
    shown = "nothing" if given is None else shorten(repr(given), 60)
    if isinstance(given, bool):
        shown = str(given).lower()
    sorts: list[str] = []
    names: list[str] = []
    for error in errors:
        kind = error["type"]
        if kind in _BOUNDS:
            words, limit = _BOUNDS[kind]
            return f"{shown} must be {words} {error['ctx'][limit]}"
        if kind == "literal_error":
            expected = error["ctx"]["expected"]
            names += re.findall(r"'([^']*)'", expected) or [expected]
        elif kind == _OTHER_WORDS:
            return f"{shown} is not valid"
        elif kind.split("_")[0] in _SORTS:
            sorts.append(_SORTS[kind.split("_")[0]])
        else:
            return f"{shown}: {error['msg'][0].lower()}{error['msg'][1:]}"
    if not names:
        return f"{shown} is not {' or '.join(dict.fromkeys(sorts))}"
    close = nearest(given, names) if isinstance(given, str) else ()
    hint = f"; nearest: {', '.join(close)}" if close else ""
    return f"{shown} is not valid{hint}; valid: {', '.join([*names, *dict.fromkeys(sorts)])}"


def _unknown(model: type[Value], path: Path, extra: Collection[str] | None) -> str:
    if extra is None:
        return "unknown key"
    at = _inside(model, path[:-1])
    known = [name for name in at.model_fields if name != "section"] if at is not None else []
    if at is Role:
        known += [*ROLE_KEYS, *(each.name for each in all_engines() if each.settings.model_fields)]
    if len(path) == 1:
        known += extra
    return f"unknown key; {near_or_all(str(path[-1]), known)}"


def near_or_all(name: str, known: Collection[str]) -> str:
    """The nearest of `known`, or all of them where none is near."""
    close = nearest(shorten(name, 80), known)
    return f"nearest: {', '.join(close)}" if close else f"valid: {', '.join(known) or 'none'}"


def _file_path(location: Path, data: object, absent: bool) -> Path:
    """The part of a pydantic location that exists in the file, where names of union branches are not, or that
    is to exist, where a key is `absent`."""
    path: list[str | int] = []
    at: object = data
    for index, part in enumerate(location):
        last = absent and index == len(location) - 1
        if isinstance(at, dict) and (part in at or last):
            path.append(part)
            at = at.get(part)
        elif isinstance(at, list) and isinstance(part, int) and (part < len(at) or last):
            path.append(part)
            at = at[part] if part < len(at) else None
    return tuple(path)


def _field(model: type[BaseModel], path: Path) -> FieldInfo | None:
    at = _inside(model, path[:-1])
    return at.model_fields.get(str(path[-1])) if at is not None and path else None


def _inside(model: type[BaseModel], path: Path) -> type[BaseModel] | None:
    """The value type that `path` leads to, through optionals, mappings and lists."""
    at: object = model
    for part in path:
        at = next((found for found in _steps(at, part) if found is not None), None)
    return next((choice for choice in _choices(at) if _is_model(choice)), None)


def _steps(annotation: object, part: str | int) -> Iterator[object]:
    for choice in _choices(annotation):
        if _is_model(choice):
            field = choice.model_fields.get(str(part))
            if field is None and choice is Role and is_engine(part):
                yield find_engine(str(part)).settings
            yield field.annotation if field is not None else None
        elif get_origin(choice) is dict:
            yield get_args(choice)[1]
        elif get_origin(choice) is tuple:
            yield get_args(choice)[0]


def _choices(annotation: object) -> Iterator[object]:
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) in (Union, types.UnionType):
        for choice in get_args(annotation):
            yield from _choices(choice)
    else:
        yield annotation


def _is_model(annotation: object) -> TypeGuard[type[BaseModel]]:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)
