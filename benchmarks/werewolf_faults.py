"""Experiments of werewolf killed at random moments, taken up again: the same games.

    python benchmarks/werewolf_faults.py [--kills 30]      # writes results/werewolf_faults.json

Each run gets SIGKILL at a random moment, is resumed by `ullage run --resume`, possibly killed again; every
ask, every game and all that is found of them must equal, byte for byte, those of a run left alone. All
choices are written and read strictly, so that refused replies lie between the batches too.
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

import numpy as np
import result_file
from killing import kill_runs, kills_hold

import ullage
from ullage.facts.architecture import Architecture
from ullage.probes.card import Card, save_probe
from ullage.probes.probe import Probe, Reading

KEPT = ("turns.jsonl", "games.jsonl", "results.json", "turns.parquet", "games.parquet")


def contents(folder: Path) -> dict[str, bytes]:
    """Everything a run stores but times."""
    return {name: (folder / name).read_bytes() for name in KEPT}


def write_workload(folder: Path) -> Path:
    model = ullage.model("ullage:tiny")
    assert isinstance(model, Architecture)
    width = model.hidden_size
    weight = {"weight": np.random.default_rng(0).normal(size=width)}
    site = "blocks.3.hook_resid_post"
    (folder / "lie").mkdir()
    probe = Probe("linear", (site,), width, np.zeros(width), np.ones(width), weight, 0.0, Reading())
    save_probe(probe, Card("none"), folder / "lie")
    body = {
        "kind": "werewolf",
        "roles": {"player": {"model": "ullage:tiny", "batch": 4}},
        "budget": {"gpus": "cpu"},
        "probes": {"lie": "lie"},
        "prompt_tokens": 900,
        "new_tokens": 12,
        "examples": 4,
        "werewolf": {
            "players": 5,
            "werewolves": 1,
            "rounds": 1,
            "choose_by": "text",
            "conditions": ["control", "treatment", "sham"],
            "score_without_role_context": True,
        },
    }
    file = folder / "workload.json"
    file.write_text(json.dumps(body))
    return file


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=30)
    chosen = parser.parse_args()
    made = result_file.start("werewolf_faults")
    with tempfile.TemporaryDirectory() as name:
        os.environ["ULLAGE_HOME"] = name
        folder = Path(name)
        figures = kill_runs(write_workload(folder), folder, chosen.kills, contents)
    made.write(figures, kills_hold(figures))


if __name__ == "__main__":
    main()
