"""No redacted text holds what was verified or failed, in thousands of records: results/pii_redaction.json.

    python benchmarks/pii_redaction.py [--records 20000] [--seed 0]

Records as redacted_records.py draws them: offsets in every unit, spans that overlap, values in other cases
and normal forms, run together with other words, or not where they are said to be. Each is read as a run
reads it, gets verdicts, and is redacted; the text, if one is written, is searched for each value.
"""

from __future__ import annotations

import argparse
import os
import time
from collections import Counter
from typing import Any

import redacted_records
import result_file
from hypothesis import HealthCheck, given, seed, settings


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--records", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(3)))
    chosen = parser.parse_args()
    made = result_file.start("pii_redaction")
    units: Counter[str] = Counter()
    came: Counter[str] = Counter()
    held: list[dict[str, Any]] = []

    @seed(chosen.seed)
    @given(redacted_records.cases())
    @settings(
        max_examples=chosen.records, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )
    def redact_one(case: dict[str, Any]) -> None:
        units[case["unit"]] += 1
        found = redacted_records.redacted(case)
        if found is None:
            came["is no record"] += 1
            return
        redaction, values = found
        came["with places that only folding found"] += redaction.folded > 0
        came[redaction.reason or "redacted"] += 1
        if redaction.text is not None and redacted_records.still_held(redaction.text, values):
            held.append(case)

    begun = time.monotonic()
    redact_one()
    figures = {
        "records": sum(units.values()),
        "units": dict(sorted(units.items())),
        "came_to": dict(sorted(came.items())),
        "held": held[:10],
        "seed": chosen.seed,
        "seconds": round(time.monotonic() - begun, 1),
    }
    claims = {
        "no redacted text holds a verified or failed value": not held,
        "as many records as asked for": sum(units.values()) >= chosen.records,
        "some are redacted, some withheld, some by folding": len(came) >= 4,
    }
    made.write(figures, claims)


if __name__ == "__main__":
    main()
