"""The schema of a diagnosis."""

from __future__ import annotations

from typing import Final

from ullage.reports.schema_parts import (
    BYTES,
    COUNT,
    MAYBE_BYTES,
    NUMBER,
    TEXT,
    VERDICT,
    Schema,
    maybe,
    of_document,
    of_list,
    of_mapping,
    of_object,
)

_FLAG: Schema = {"type": "boolean"}
_MAYBE_FLAG: Schema = {"type": ["boolean", "null"]}
_MAYBE_TEXT: Schema = {"type": ["string", "null"]}
_FINDINGS = of_list(
    of_object(dict.fromkeys(("about", "said", "todo"), TEXT) | {"state": {"enum": ["ok", "note", "problem"]}})
)
_CAPABILITY = {"type": "array", "items": COUNT, "minItems": 2, "maxItems": 2}
_PCIE = of_object(dict.fromkeys(("generation", "width", "most_generation", "most_width"), MAYBE_BYTES))
_CARD = of_object(
    {
        "index": COUNT,
        "name": TEXT,
        "total": BYTES,
        "used": BYTES,
        "capability": _CAPABILITY,
        "pcie": _PCIE,
        "nvlinks": COUNT,
        "visible": _FLAG,
        "partitioned": _FLAG,
    }
)
_PAIR = of_object({"first": COUNT, "second": COUNT, "way": TEXT, "nvlink": _MAYBE_FLAG, "peer": _MAYBE_FLAG})
_CARDS = of_object(
    {
        "driver": TEXT,
        "cuda": _CAPABILITY,
        "cards": of_list(_CARD),
        "pairs": of_list(_PAIR),
        "problem": TEXT,
        "broken": _FLAG,
    }
)
_SEEN = of_object(
    {
        "index": COUNT,
        "name": TEXT,
        "capability": _CAPABILITY,
        "problem": TEXT,
        "copies": maybe(of_object({"pinned": NUMBER, "pageable": NUMBER})),
    }
)
_TORCH = of_object(
    dict.fromkeys(("cuda", "hip", "problem"), TEXT) | {"kernels": of_list(TEXT), "cards": of_list(_SEEN)}
)
_LIBRARY = of_object(
    {
        "name": TEXT,
        "version": TEXT,
        "seconds": NUMBER,
        "problem": TEXT,
        "works_on": of_list(TEXT),
        "torch": maybe(_TORCH),
    }
)
_EXTRA = of_object(
    {
        "name": TEXT,
        "purpose": TEXT,
        "packages": of_list(of_object({"name": TEXT, "version": _MAYBE_TEXT, "least": TEXT})),
        "missing": of_list(TEXT),
    }
)
_DISK = of_object(
    {"folder": TEXT, "there": _FLAG, "held": MAYBE_BYTES, "free": MAYBE_BYTES, "writable": _FLAG}
)
_HOST = of_object(
    dict.fromkeys(("memory", "available", "swap", "limit", "taken"), MAYBE_BYTES)
    | dict.fromkeys(("python", "system"), TEXT)
    | {"processors": COUNT, "cache": _DISK, "home": _DISK, "offline": _FLAG, "token": _FLAG}
)
_ROLE = of_object(
    {
        **dict.fromkeys(("name", "model", "engine"), TEXT),
        "device_map": of_mapping(TEXT),
        "fetched": BYTES,
        "findings": _FINDINGS,
    }
)
_FILE = of_object(
    {
        **dict.fromkeys(("title", "kind", "gpus"), TEXT),
        "verdict": maybe(VERDICT),
        "runs": _FLAG,
        "fits": _FLAG,
        "roles": of_list(_ROLE),
        "findings": _FINDINGS,
    }
)

DIAGNOSIS: Final = of_document(
    "diagnosis",
    {
        "quick": _FLAG,
        "problems": COUNT,
        "parts": of_list(of_object({"name": TEXT, "seconds": NUMBER, "findings": _FINDINGS})),
        "cards": _CARDS,
        "libraries": of_list(_LIBRARY),
        "extras": of_list(_EXTRA),
        "host": _HOST,
        "runs": COUNT,
        "file": maybe(_FILE),
    },
)
