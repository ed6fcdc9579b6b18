"""The precisions a file may name: dtypes, quantization schemes, or what card and checkpoint say."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticKnownError, core_schema

from ullage.facts.dtypes import DTYPES
from ullage.facts.quantization.known import SCHEMES

LEFT_OPEN: Final = ("auto", "stored")
"""auto: bf16 where the card can, else fp16, else fp32, and a quantized checkpoint as it is stored."""


def precisions() -> tuple[str, ...]:
    """Every valid name; schemes are asked for each time, so that one that is added is known at once."""
    return (*LEFT_OPEN, *DTYPES, *SCHEMES)


def _known(value: object) -> str:
    names = precisions()
    if isinstance(value, str) and value in names:
        return value
    expected = ", ".join(repr(name) for name in names[:-1]) + f" or {names[-1]!r}"
    raise PydanticKnownError("literal_error", {"expected": expected})


class _Known:
    """Validates as a Literal of `precisions()` would, whose names need not be known when it is written."""

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(_known)

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, object]:
        return {"enum": list(precisions()), "type": "string"}


Precision = Annotated[str, _Known()]
