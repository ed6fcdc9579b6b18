"""Schemas of what is told of captured states."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ullage.reports.schema_parts import (
    COUNT,
    NUMBER,
    Schema,
    maybe,
    of_document,
    of_list,
    of_mapping,
    of_object,
)

_QUARTILES = {**of_list(NUMBER), "minItems": 3, "maxItems": 3}
_SITE = of_object(
    {
        "rows": COUNT,
        "effective_dimension": COUNT,
        "participation_ratio": NUMBER,
        **dict.fromkeys(("norm_quartiles", "sparsity_quartiles", "hoyer_quartiles"), _QUARTILES),
    }
)

DOCUMENTS: Final[Mapping[str, Schema]] = {
    "survey": of_document(
        "survey",
        {
            "sites": of_mapping(_SITE),
            "compression": of_mapping(NUMBER),
            "cosines": maybe(of_list(of_list(NUMBER))),
        },
    ),
}
