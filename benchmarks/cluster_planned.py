"""Records a second and the start of runs on a Ray cluster on this machine, beside what a plan of the cluster
says of them after one short run here. Needs `ray`. Writes results/cluster_planned.json.

The plan knows a workload's times from a run of CALIBRATED records in one process. Nothing else of the
settings that it is held against is in that run: no cluster, other actors, other sizes of partitions.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import result_file
from cluster_made import candidates, on_a_card, ray_cluster, verifying, watched

import ullage

CALIBRATED: Final = 4000
CALIBRATED_PARTITION: Final = 400
WITHIN: Final = 0.15


@dataclass(frozen=True, slots=True)
class Setting:
    """What is run on `nodes` nodes of so many `replicas` each; all processors of this machine are two."""

    name: str
    work: dict[str, Any]
    nodes: int
    replicas: int


def extracting(batch: int, partition: int, sites: str, positions: str) -> dict[str, Any]:
    """States of the bundled model."""
    captures = [{"sites": [sites], "positions": positions, "keep": "disk"}]
    return {
        "kind": "extract",
        "roles": {"model": {"model": "ullage:tiny", "batch": batch}},
        **on_a_card(),
        "prompt_tokens": 64,
        "captures": captures,
        "extract": {"input": "texts.jsonl"},
        "partition": {"records": partition, "patience": 120},
    }


SETTINGS: Final = (
    Setting("pii, one actor", verifying(8, 1000, "ullage:tiny"), 1, 1),
    Setting("pii, two nodes, small partitions", verifying(8, 200, "ullage:tiny"), 2, 1),
    Setting("pii, batch 32, two nodes", verifying(32, 1500, "ullage:tiny"), 2, 1),
    Setting(
        "extract, last position, two nodes", extracting(16, 500, "blocks.*.hook_resid_post", "last"), 2, 1
    ),
    Setting(
        "extract, all positions, one node of two", extracting(8, 250, "blocks.1.hook_resid_post", "all"), 1, 2
    ),
)


def texts(path: Path, count: int) -> None:
    """Sentences of the same length, each of its own."""
    with path.open("w") as file:
        for number in range(count):
            file.write(
                json.dumps({"id": f"t{number}", "text": f"Number {number:07} is on its way home now"}) + "\n"
            )


def records(folder: Path, count: int) -> None:
    """The input of both kinds."""
    candidates(folder / "records.jsonl", count)
    texts(folder / "texts.jsonl", count)


def calibrated(setting: Setting, folder: Path, name: str) -> float:
    """One run, which leaves its times; its records a second."""
    records(folder, CALIBRATED)
    partition = {**setting.work["partition"], "records": CALIBRATED_PARTITION}
    alone = setting.work | {"examples": CALIBRATED, "partition": partition}
    _, record = ullage.run(ullage.load(alone), folder / name, base=folder)
    return CALIBRATED / sum({each.phase: each.seconds for each in record.measured}.values())


def row(setting: Setting, folder: Path, number: int, seconds: float) -> dict[str, Any]:
    """One setting: calibrated, planned, run."""
    size = setting.work["partition"]["records"]
    alone, actors = calibrated(setting, folder, f"alone-{number}"), setting.nodes * setting.replicas
    count = max(round(seconds * alone * actors / size), 4 * actors) * size
    records(folder, count)
    nodes = f"{setting.nodes}x({setting.replicas}x sim; start 1s)"
    work = setting.work | {"examples": count}
    planned = ullage.plan_cluster(ullage.load(work), nodes, base=folder, partition=size)
    assert planned.records_per_second is not None
    with ray_cluster([setting.replicas] * setting.nodes) as cluster:
        ran = watched(work, folder, f"run-{number}", cluster.address, actors)
    error = ran.rate / planned.records_per_second.expected - 1
    interval = planned.records_per_second
    first = size * actors / ran.rate
    return {
        "setting": setting.name,
        "records": count,
        "partitions": ran.record.outcome["partitions"]["count"],
        "actors": len(ran.record.outcome["partitions"]["actors"]),
        "planned_per_second": [round(each, 2) for each in (interval.low, interval.expected, interval.high)],
        "measured_per_second": round(ran.rate, 2),
        "error": round(error, 4),
        "seconds": round(ran.seconds, 1),
        "start_planned": [
            round(each, 1) for each in (planned.start.low, planned.start.expected, planned.start.high)
        ],
        "start_measured": round(ran.before - first, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=125.0, help="of each run, about")
    parser.add_argument("--only", type=int, nargs="*", help="numbers of settings, from 0")
    given = parser.parse_args()
    made = result_file.start("cluster_planned")
    rows = []
    for number, setting in enumerate(SETTINGS):
        if given.only is not None and number not in given.only:
            continue
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            os.environ["ULLAGE_HOME"] = f"{folder}/home"
            rows.append(row(setting, folder, number, given.seconds))
        print(json.dumps(rows[-1]), flush=True)
    figures = {
        "calibrated": CALIBRATED,
        "calibrated_partition": CALIBRATED_PARTITION,
        "rows": rows,
    }
    claims = {
        f"{told['setting']}: within {100 * WITHIN:.0f} % of what was planned": abs(told["error"]) <= WITHIN
        for told in rows
    }
    claims |= {
        f"{told['setting']}: starts within its interval": told["start_planned"][0]
        <= told["start_measured"]
        <= told["start_planned"][2]
        for told in rows
    }
    made.write(figures, claims)


if __name__ == "__main__":
    main()
