"""Weak scaling: one to eight actors of a Ray cluster on this machine, each with as much to do, against one,
and against the run without a cluster. Needs `ray`. Writes results/cluster_scaling.json.

The verifier is scripted and takes the same time for every batch, so that actors share two processors without
waiting for one another: what is measured is what handing out, writing and keeping partitions takes.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from pathlib import Path
from typing import Any, Final

import result_file
from cluster_made import Ran, candidates, ray_cluster, script, verifying, watched

ACTORS: Final = (1, 2, 4, 8)
BATCH: Final = 32
SECONDS: Final = 0.25
"""Of a batch."""
PARTITION: Final = 320


def row(actors: int, ran: Ran) -> dict[str, Any]:
    """The figures of one run."""
    accounts = ran.record.outcome["partitions"]
    return {
        "actors": actors,
        "partitions": accounts["count"],
        "again": accounts["again"],
        "records_per_second": round(ran.rate, 3),
        "seconds_before": round(ran.before, 1),
        "seconds": round(ran.seconds, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=75.0, help="of work for each actor")
    seconds = parser.parse_args().seconds
    made = result_file.start("cluster_scaling")
    each = max(round(seconds / SECONDS * BATCH / PARTITION), 4)
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["ULLAGE_HOME"] = f"{folder}/home"
        script(folder / "script.jsonl", SECONDS)
        work = verifying(BATCH, PARTITION)
        candidates(folder / "records.jsonl", each * PARTITION)
        local = row(1, watched(work, folder, "local", "local", 1))
        for actors in ACTORS:
            candidates(folder / "records.jsonl", actors * each * PARTITION)
            with ray_cluster([actors]) as cluster:
                rows.append(row(actors, watched(work, folder, f"run-{actors}", cluster.address, actors)))
            print(json.dumps(rows[-1]), flush=True)
    one = rows[0]["records_per_second"]
    for told in rows:
        told["efficiency"] = round(told["records_per_second"] / told["actors"] / one, 4)
    overhead = round(1 - one / local["records_per_second"], 4)
    most = BATCH / SECONDS
    figures = {
        "batch": BATCH,
        "batch_seconds": SECONDS,
        "work_seconds": seconds,
        "local": local,
        "rows": rows,
        "overhead": overhead,
        "engine_records_per_second": most,
    }
    print(json.dumps(figures, indent=1))
    claims = {
        "one to eight actors: efficiency of at least 0.9": min(told["efficiency"] for told in rows) >= 0.9,
        "one actor is at most 5 % slower than the local run": overhead <= 0.05,
    }
    made.write(figures, claims)


if __name__ == "__main__":
    main()
