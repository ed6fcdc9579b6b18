"""What documents look like."""

from __future__ import annotations

from typing import Any


def document_schema(kind: str) -> dict[str, Any]:
    """JSON Schema of the documents that begin with `{"document": kind}`; docs/json.md names them.

    Raises UnknownNameError.
    """
    from ullage.errors import UnknownNameError
    from ullage.reports.schema import DOCUMENTS
    from ullage.workloads.registry import kind_documents

    known = {**DOCUMENTS, **kind_documents()}
    if kind not in known:
        raise UnknownNameError("document", kind, known, f"There are: {', '.join(sorted(known))}")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **known[kind]}
