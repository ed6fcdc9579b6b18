"""JSON Schema of what an index of states says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ullage.reports.schema_parts import COUNT, TEXT, Schema, of_document, of_list, of_mapping

RUNS: Final[Mapping[str, Schema]] = {
    "states": of_document(
        "states",
        {
            "examples": COUNT,
            "tokens": COUNT,
            "roles": of_mapping({"type": "object", "required": ["model", "stages", "sites"]}),
            "sites": of_mapping({"type": "object"}),
            "files": of_list({"type": "object", "required": ["name", "bytes", "sha256"]}),
            "sha256": TEXT,
        },
    ),
}
