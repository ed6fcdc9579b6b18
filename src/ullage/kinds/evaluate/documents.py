"""Schemas of what is told of two evaluations beside each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ullage.reports.schema_parts import COUNT, MAYBE_NUMBER, TEXT, Schema, of_document, of_list, of_object

_LABEL = of_object(
    {
        "label": TEXT,
        **dict.fromkeys(("questions", "only_first_right", "only_second_right"), COUNT),
        **dict.fromkeys(("first", "second", "p_value"), MAYBE_NUMBER),
    }
)
_MEASURE = of_object(
    {
        **dict.fromkeys(("label", "measure", "reason"), TEXT),
        "questions": COUNT,
        **dict.fromkeys(("difference", "low", "high"), MAYBE_NUMBER),
    }
)

DOCUMENTS: Final[Mapping[str, Schema]] = {
    "compared": of_document(
        "compared",
        {
            "questions": COUNT,
            "unpaired": COUNT,
            "labels": of_list(_LABEL),
            "measures": of_list(_MEASURE),
        },
    ),
}
