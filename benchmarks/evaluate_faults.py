"""Evaluations killed at random moments of generation, judging and what lies between.

    python benchmarks/evaluate_faults.py [--kills 30]      # writes results/evaluate_faults.json

Each run gets SIGKILL at a random moment, is resumed by `ullage run --resume`, possibly killed again; answers,
judgements and scores must equal, byte for byte, those of a run left alone.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import warnings
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")
warnings.filterwarnings("ignore")

import result_file
from killing import kill_runs, kills_hold

import ullage

QUESTIONS = 60
KEPT = ("greedy.jsonl", "samples.jsonl", "judge.jsonl", "p_true.jsonl", "scores.json", "results.parquet")


def contents(folder: Path) -> dict[str, bytes]:
    """Everything a run stores but times."""
    return {name: (folder / name).read_bytes() for name in KEPT}


def write_workload(folder: Path) -> Path:
    ullage.sample("answer", folder / "questions.jsonl", count=QUESTIONS)
    body = {
        "kind": "evaluate",
        "schedule": "sequential",
        "roles": {name: {"model": "ullage:tiny", "batch": 4} for name in ("generator", "judge")},
        "budget": {"gpus": "cpu"},
        "prompt_tokens": 256,
        "new_tokens": 16,
        "examples": QUESTIONS,
        "evaluate": {
            "input": "questions.jsonl",
            "fields": {"references": "truth", "context": "context"},
            "samples": 2,
            "p_true": True,
        },
    }
    file = folder / "workload.json"
    file.write_text(json.dumps(body))
    return file


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=30)
    chosen = parser.parse_args()
    made = result_file.start("evaluate_faults")
    with tempfile.TemporaryDirectory() as name:
        os.environ["ULLAGE_HOME"] = name
        folder = Path(name)
        figures = kill_runs(write_workload(folder), folder, chosen.kills, contents)
    made.write(figures, kills_hold(figures))


if __name__ == "__main__":
    main()
