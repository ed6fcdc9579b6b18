"""JSON documents. The fields of a value are those of its document, and their types are its schema: pydantic
makes both from one dataclass (or typed dict), so that neither says what the other does not."""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Final, get_type_hints

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler, TypeAdapter
    from pydantic_core import CoreSchema

VERSION: Final = 1


def header(word: str) -> dict[str, Any]:
    """How every document begins."""
    return {"document": word, "version": VERSION}


def document(word: str, kind: Any, value: object) -> dict[str, Any]:
    """`value`, one of `kind`, as the document that begins with `word`."""
    return {**header(word), **as_json(kind, value)}


def as_json(kind: Any, value: object) -> Any:
    """`value`, one of `kind`, in what JSON knows: objects, arrays, text, numbers, None.

    By way of text: in pydantic's own JSON a key with a lone surrogate, as names of files may have, becomes
    another.
    """
    return json.loads(json.dumps(adapter(kind).dump_python(value, by_alias=True)))


@cache
def adapter(kind: Any) -> TypeAdapter[Any]:
    """What reads and writes values of `kind`; made when it is first asked for, as that takes milliseconds."""
    from pydantic import TypeAdapter

    return TypeAdapter(kind)


class _Signed:
    def __get_pydantic_json_schema__(self, schema: object, handler: object) -> dict[str, Any]:
        return {"type": "integer"}


Signed = Annotated[int, _Signed()]
"""A whole number that may be negative; any other of a document is a count, or bytes."""


class ByName:
    """Makes an object of a value's attributes with these `names` (of a named tuple without any: of all its
    fields, not the array that it is), in this order; properties among them are only written.

        Annotated[Comparison, ByName("phase", "measured", "error")]
    """

    def __init__(self, *names: str) -> None:
        self._names = names

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        from pydantic_core import core_schema

        names = self._names or source._fields
        fields = {
            name: core_schema.typed_dict_field(handler.generate_schema(_type_of(source, name)))
            for name in names
        }
        shape = core_schema.typed_dict_schema(fields)
        written = core_schema.plain_serializer_function_ser_schema(
            lambda value: {name: getattr(value, name) for name in names}, return_schema=shape
        )
        return core_schema.no_info_after_validator_function(
            lambda values: source(**values), shape, serialization=written
        )


def _type_of(source: type, name: str) -> Any:
    found = getattr(source, name, None)
    if isinstance(found, property):
        return get_type_hints(found.fget, include_extras=True)["return"]
    return get_type_hints(source, include_extras=True)[name]
