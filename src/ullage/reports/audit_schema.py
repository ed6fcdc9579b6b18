"""JSON Schema of what `ullage audit` says."""

from __future__ import annotations

from typing import Final

from ullage.planning.audit import RULINGS
from ullage.reports.schema_parts import (
    COUNT,
    ESTIMATE,
    MAYBE_BYTES,
    MAYBE_NUMBER,
    MAYBE_TEXT,
    NUMBER,
    TEXT,
    VERDICT,
    Schema,
    maybe,
    of_list,
    of_mapping,
    of_object,
)

AUDIT: Final[Schema] = {
    **dict.fromkeys(("file", "audited", "source"), TEXT),
    "counts": of_object(dict.fromkeys(RULINGS, COUNT)),
    "units": of_mapping(COUNT),
    "claims": of_list(
        of_object(
            {
                "line": COUNT,
                "lines": of_list(COUNT),
                **dict.fromkeys(("section", "says", "metric"), TEXT),
                **dict.fromkeys(("model", "workload", "measure"), MAYBE_TEXT),
                "claimed": maybe(of_list(NUMBER)),
                "claimed_verdict": maybe(VERDICT),
                "ruling": {"enum": list(RULINGS)},
                "computed": maybe(ESTIMATE),
                "verdict": maybe(VERDICT),
                "ullage": MAYBE_BYTES,
                "off": MAYBE_NUMBER,
                "said": TEXT,
            }
        )
    ),
}
