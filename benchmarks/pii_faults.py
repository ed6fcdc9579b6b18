"""Verifications killed at random moments, and the memory of a long one: benchmarks/results/pii_faults.json.

    python benchmarks/pii_faults.py [--kills 50] [--records 1000000]

Killed: `ullage run` gets SIGKILL at a random moment, is resumed, possibly killed again; verdicts, failed
candidates and rejects must equal, byte for byte, those of a run left alone. Memory: a run over many records,
verified by a script that costs next to nothing, so that what grows is what Ullage holds; resident size after
the first tenth (warm-up), and what it had grown by at its largest.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import warnings
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")
warnings.filterwarnings("ignore")

import million_lines
import result_file
from killing import kill_runs, kills_hold

import ullage

GROWTH = 50 << 20
SYSTEM = "Verify personal data. Type: {type}. Reply {verdicts}."


def contents(folder: Path) -> dict[str, bytes]:
    """Everything a run stores but times."""
    return {name: (folder / f"{name}.jsonl").read_bytes() for name in ("verified", "failed", "rejects")}


def write_workload(folder: Path) -> Path:
    """1,500 records of the small world, with lines between them that are none."""
    ullage.sample("verify", folder / "good.jsonl", count=1500)
    lines = (folder / "good.jsonl").read_bytes().splitlines()
    for place in range(100, 1500, 100):
        lines.insert(place, b'{"id": "half')
        lines.insert(place, lines[0])  # an id once more
    (folder / "records.jsonl").write_bytes(b"\n".join(lines) + b"\n")
    body = {
        "kind": "pii",
        "roles": {"verifier": {"model": "ullage:tiny", "batch": 4}},
        "budget": {"gpus": "cpu"},
        "prompt_tokens": 96,
        "new_tokens": 0,
        "examples": 1500,
        "pii": {"input": "records.jsonl", "system": SYSTEM, "prefix_tokens": 24},
    }
    file = folder / "workload.json"
    file.write_text(json.dumps(body))
    return file


def memory(folder: Path, records: int) -> dict[str, Any]:
    body = {**million_lines.pii(folder, records), "budget": {"gpus": "cpu"}, "examples": records}
    (folder / "many.json").write_text(json.dumps(body))
    run, record = ullage.run(ullage.load(folder / "many.json"), folder / "many", base=folder)
    sizes = [json.loads(line) for line in (run / "timeline.jsonl").open()]
    warm = sizes[len(sizes) // 10]["process"]
    largest = max(line["process"] for line in sizes[len(sizes) // 10 :])
    return {
        "records": record.examples,
        "seconds": round(record.seconds, 1),
        "resident_after_warm_up": warm,
        "largest_resident": largest,
        "growth": largest - warm,
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--records", type=int, default=1_000_000)
    chosen = parser.parse_args()
    made = result_file.start("pii_faults")
    with tempfile.TemporaryDirectory() as name:
        os.environ["ULLAGE_HOME"] = name
        folder = Path(name)
        figures = {
            "memory": memory(folder, chosen.records),
            "killed": kill_runs(write_workload(folder), folder, chosen.kills, contents),
        }
    grown = figures["memory"]["growth"]
    claims = {
        f"memory grows by less than {GROWTH >> 20} MiB": grown < GROWTH,
        **kills_hold(figures["killed"]),
    }
    made.write(figures, claims)


if __name__ == "__main__":
    main()
