"""Applies `--set`-like changes to a parsed workload without parsing it again."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TypeVar, get_args

from ullage.errors import InputError
from ullage.spec.document import read_value
from ullage.spec.role import Role
from ullage.spec.value import Value
from ullage.spec.workload import Workload

AnyValue = TypeVar("AnyValue", bound=Value)


def apply_changes(workload: Workload, changes: tuple[tuple[str, str], ...]) -> Workload:
    """`workload` with each (path, value) set; paths lead through fields, roles and list entries.

    Values are trusted: they come from the planner, which knows what a field takes. Raises InputError for a
    setting of another engine than a role has.
    """
    for path, value in changes:
        workload = _set(workload, path.split("."), _value(value))
    return workload


@lru_cache(maxsize=4096)
def _value(text: str) -> object:
    """The search asks for the same few values thousands of times."""
    return read_value(text)


def _set(at: AnyValue, path: list[str], value: object) -> AnyValue:
    head, rest = path[0], path[1:]
    if isinstance(at, Role) and head not in Role.model_fields:
        if head != at.engine:
            raise InputError(f"{head}: has no effect with engine: {at.engine}")
        return at.with_settings(_set(at.settings, rest, value))
    found = _within(getattr(at, head), rest, value)
    if isinstance(found, list):
        found = tuple(found)
    return at.model_copy(update={head: _part(type(at), head, found) if isinstance(found, dict) else found})


def _part(kind: type[Value], field: str, given: dict[str, object]) -> object:
    """A mapping as the part of a file that it stands for, where the field may be one."""
    parts = get_args(kind.model_fields[field].annotation)
    if type(None) not in parts:
        return given
    made = next((each for each in parts if isinstance(each, type) and issubclass(each, Value)), None)
    return given if made is None else made.model_validate(given)


def _within(at: object, path: list[str], value: object) -> object:
    if not path:
        return value
    if isinstance(at, Value):
        return _set(at, path, value)
    head, rest = path[0], path[1:]
    if isinstance(at, dict):
        return at | {head: _within(at.get(head), rest, value)}
    assert isinstance(at, Sequence)
    index = int(head)
    return (*at[:index], _within(at[index], rest, value), *at[index + 1 :])
