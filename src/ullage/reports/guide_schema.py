"""JSON Schema of a page, which is what a guide is."""

from __future__ import annotations

from typing import Final

from ullage.reports.pages.page import Part
from ullage.reports.schema_parts import COUNT, TEXT, Schema, of_list, of_object

_PART: Final[Schema] = {
    "type": "object",
    "properties": {"part": {"enum": sorted(each.__name__.lower() for each in Part.__args__)}},
    "required": ["part"],
}
"""Each has the fields of the value that it is made from."""
GUIDE: Final[Schema] = {
    "title": TEXT,
    "sections": of_list(
        of_object({"part": {"const": "section"}, "title": TEXT, "parts": of_list(_PART), "level": COUNT})
    ),
    "opening": of_list(_PART),
}
