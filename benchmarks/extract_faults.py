"""Runs killed at random moments, and runs that run out of memory at random batches.

    python benchmarks/extract_faults.py [--kills 50] [--seeds 20]      # writes results/extract_faults.json

Killed: `ullage run` in a process of its own gets SIGKILL at a random moment of its time, is resumed by
`ullage run --resume`, possibly killed again; what is stored must equal, byte for byte, that of a run left
alone. Out of memory: torch's error is raised in half of all batches; every text must be stored once, and its
states must equal those of a clean run (bit for bit, or the largest difference is told).
"""

from __future__ import annotations

import argparse
import json
import os
import random
import tempfile
import warnings
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")
warnings.filterwarnings("ignore")

import result_file
import small_models
from killing import kill_runs, kills_hold

TEXTS = 120


def contents(folder: Path) -> dict[str, bytes]:
    """Everything a run stores but the times in its log."""
    found = {path.name: path.read_bytes() for path in (folder / "states").iterdir()}
    return found | {"journal": (folder / "journal.jsonl").read_bytes()}


def write_workload(folder: Path) -> Path:
    small_models.save(folder / "model", "llama", hidden=64)
    small_models.write_texts(folder / "texts.jsonl", TEXTS, longest=200)
    body = {
        "kind": "extract",
        "roles": {"model": {"model": "model"}},
        "budget": {"gpus": "cpu"},
        "batch": 2,
        "prompt_tokens": 600,
        "examples": TEXTS,
        "captures": [{"sites": ["blocks.*.hook_resid_post"], "positions": "all", "keep": "disk"}],
        "extract": {"input": "texts.jsonl", "shard": "1MiB"},
    }
    file = folder / "workload.json"
    file.write_text(json.dumps(body))
    return file


def out_of_memory(folder: Path, seeds: int) -> dict[str, Any]:
    """A clean run beside runs in which half of the batches fail."""
    import torch

    import ullage
    from ullage.capture.reader import Reader

    workload = ullage.load(folder / "workload.json")
    clean = ullage.open_states(folder / "whole")
    read = Reader.read
    complete = identical = splits = 0
    largest = 0.0
    for seed in range(seeds):
        chance = random.Random(seed)

        def failing(self: Any, sequences: Any, spans: Any = (), chance: Any = chance) -> Any:
            if len(sequences) > 1 and chance.random() < 0.5:
                raise torch.OutOfMemoryError("CUDA out of memory. Injected")
            return read(self, sequences, spans)

        Reader.read = failing  # type: ignore[method-assign]
        run, record = ullage.run(workload, folder / f"oom-{seed}", base=folder)
        store = ullage.open_states(run)
        splits += record.splits
        complete += [row["id"] for row in store.rows] == [row["id"] for row in clean.rows]
        difference = max(
            float((states - store[index][site]).abs().max())
            for index in range(len(clean))
            for site, states in clean[index].items()
        )
        identical += difference == 0
        largest = max(largest, difference)
    Reader.read = read  # type: ignore[method-assign]
    return {
        "runs": seeds,
        "batches_that_failed": splits,
        "complete": complete,
        "bit_identical": identical,
        "largest_difference": largest,
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seeds", type=int, default=20)
    chosen = parser.parse_args()
    made = result_file.start("extract_faults")
    with tempfile.TemporaryDirectory() as name:
        os.environ["ULLAGE_HOME"] = name
        folder = Path(name)
        figures = {
            "killed": kill_runs(write_workload(folder), folder, chosen.kills, contents),
            "out_of_memory": out_of_memory(folder, chosen.seeds),
        }
    failing = figures["out_of_memory"]
    claims = kills_hold(figures["killed"]) | {
        "every text is stored once, whatever batches fail": failing["complete"] == failing["runs"],
        "states differ by rounding at most": failing["largest_difference"] < 1e-6,
    }
    made.write(figures, claims)


if __name__ == "__main__":
    main()
