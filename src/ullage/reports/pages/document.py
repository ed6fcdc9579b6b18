"""A page as JSON: each part is an object that says which it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Annotated, Any, Literal, cast

from pydantic import WithJsonSchema
from typing_extensions import TypedDict

from ullage.reports.pages.page import Page, Part


def _shape(kind: type) -> dict[str, Any]:
    """An object with the fields of the value that it is made from, and what that is."""
    names = [each.name for each in fields(kind)] if is_dataclass(kind) else [*kind._fields]  # type: ignore[attr-defined]
    held: dict[str, Any] = {"part": {"const": kind.__name__.lower()}, **{name: {} for name in names}}
    return {"type": "object", "properties": held, "required": [*held], "additionalProperties": False}


_Part = Annotated[dict[str, Any], WithJsonSchema({"anyOf": [_shape(each) for each in Part.__args__]})]


class SectionDocument(TypedDict):
    """A heading and what stands below it."""

    part: Literal["section"]
    title: str
    parts: list[_Part]
    level: int


class PageDocument(TypedDict):
    """A page, which is what a guide is."""

    title: str
    sections: list[SectionDocument]
    opening: list[_Part]


def page_document(page: Page) -> dict[str, object]:
    """Title, sections and opening; what a chart shows are its numbers."""
    return {name: _value(one) for name, one in page._asdict().items()}


def _value(value: object) -> object:
    held = _fields(value)
    if held is not None:
        return {"part": type(value).__name__.lower(), **{name: _value(one) for name, one in held.items()}}
    if isinstance(value, frozenset):
        return sorted(value)
    return [_value(each) for each in value] if isinstance(value, tuple) else value


def _fields(value: object) -> Mapping[str, object] | None:
    """Of a named tuple or a dataclass."""
    if is_dataclass(value) and not isinstance(value, type):
        return {each.name: getattr(value, each.name) for each in fields(value)}
    names = getattr(value, "_fields", None)
    return None if names is None else dict(zip(names, cast("tuple[object, ...]", value), strict=True))
