"""How fast states are read: beside a bare forward and nnsight, beside version 0.1, and what watching costs.

    git worktree add --detach ../ullage-0.1 6ea47fa
    python3 -m venv ../ullage-0.1/.venv && ../ullage-0.1/.venv/bin/pip install '../ullage-0.1[run]'
    python benchmarks/extract_speed.py --before ../ullage-0.1/.venv/bin/python [--nnsight PYTHON]

Writes results/extract_speed.json. `--nnsight` is the Python of an environment with nnsight, torch and
transformers of the same versions; without it nnsight is not measured.

`stopped`: the 124M-parameter GPT-2 and corpus of `extract_peers`, last position after the middle layer, in
the batches that Ullage makes: the whole product beside a forward, and nnsight's, that stop after that layer;
in turns, each in a process of its own. A ratio is Ullage's seconds to theirs; `interval` holds the median of
all such pairs at 95 % (order statistics). `short`: `ullage.extract` with its defaults over short texts and
the bundled model, one process a run, this version and 0.1 in turn; then all rows of the site as one matrix.
`watched`: passes of one text of 20 tokens through the bundled model, which is the worst there is, with and
without the count of live tensors, in turns of 64, in seconds of computing. `many`: what memory grows by after
the first tenth of many short texts.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

os.environ.setdefault("HF_HUB_OFFLINE", "1")
warnings.filterwarnings("ignore")

import extract_peers
import million_lines
import result_file
import small_models

SITE: Final = "blocks.3.hook_resid_post"
LONGEST: Final = 12
"""Words of a short text."""
TURN: Final = 64
"""Passes of a turn: one of them is counted in any case."""
SLOWER, FASTER, COST, MATRIX_SECONDS, GROWTH = 1.02, 2.0, 1.10, 0.1, 50 << 20
EXTRACT: Final = """
import json, sys, time
import ullage
model, texts, out, site = sys.argv[1:]
begun = time.perf_counter()
_, record = ullage.extract(model, texts, [site], out, positions="last", gpus="cpu")
whole = time.perf_counter() - begun
store = ullage.open_states(out)
store.matrix(site)  # each file is held against its hash once
begun = time.perf_counter()
rows = len(store.matrix(site))
matrix = time.perf_counter() - begun
reading = next(each.seconds for each in record.measured if each.phase == "model extract")
print(json.dumps({"whole": whole, "reading": reading, "matrix": matrix, "rows": rows}))
"""


def interval(ratios: Sequence[float]) -> dict[str, Any]:
    """The median, and the order statistics between which it lies at 95 %."""
    held = sorted(ratios)
    below = max(int(len(held) / 2 - 0.98 * len(held) ** 0.5), 0)
    return {
        "pairs": len(held),
        "median": round(statistics.median(held), 4),
        "interval": [round(held[below], 4), round(held[-1 - below], 4)],
    }


def stopped(pairs: int, nnsight: str | None) -> dict[str, Any]:
    """Ullage beside passes that stop after the last layer that is asked for."""
    pythons = {"ullage": sys.executable, "bare forward": sys.executable}
    if nnsight is not None:
        pythons["nnsight, stopped"] = nnsight
    seconds: dict[str, list[float]] = {name: [] for name in pythons}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        extract_peers.prepare(folder)
        held = [extract_peers.Contestant(each, folder, python) for each, python in pythons.items()]
        for each in held:
            each.ask("warm-up")
            each.ask("sorted")
        for turn in range(pairs):
            for each in held if turn % 2 else held[::-1]:
                took = each.ask("sorted")
                if took is None:
                    raise SystemExit(f"{each.name}: {(folder / f'{each.name}.log').read_text()[-600:]}")
                seconds[each.name].append(took)
        for each in held:
            each.close()
    ours = seconds.pop("ullage")
    found: dict[str, Any] = {"site": extract_peers.SITE, "ullage_seconds": statistics.median(ours)}
    for name, theirs in seconds.items():
        found[name] = interval([own / other for own, other in zip(ours, theirs, strict=True)])
    return found | ({} if nnsight else {"nnsight, stopped": "not measured"})


def short(before: str | None, lines: int, pairs: int) -> dict[str, Any]:
    """Extractions of short texts by this version and by 0.1, in turn."""
    import ullage

    pythons = {"now": sys.executable} | ({"before": before} if before else {})
    took: dict[str, list[dict[str, float]]] = {name: [] for name in pythons}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        texts = small_models.write_texts(folder / "texts.jsonl", lines, LONGEST)
        for turn in range(pairs):
            for version, python in pythons.items():
                out = folder / f"{version}-{turn}"
                asked = [python, "-c", EXTRACT, str(ullage.tiny_path()), str(texts), str(out), SITE]
                environment = {**os.environ, "ULLAGE_HOME": str(folder / f"home-{version}")}
                done = subprocess.run(asked, capture_output=True, text=True, env=environment, cwd=folder)
                if done.returncode:
                    raise SystemExit(f"{version}: {done.stderr[-600:]}")
                took[version].append(json.loads(done.stdout.splitlines()[-1]))
    found: dict[str, Any] = {"texts": lines}
    for part in ("whole", "reading", "matrix"):
        found[part] = {name: statistics.median(each[part] for each in held) for name, held in took.items()}
        if before:
            ratios = [b[part] / n[part] for b, n in zip(took["before"], took["now"], strict=True)]
            found[part]["times_faster"] = interval(ratios)
    return found


def watched(turns: int) -> dict[str, Any]:
    """Passes of the smallest model, counted and not."""
    from transformers import AutoModelForCausalLM

    import ullage
    from ullage.runtime.live import LiveTensors

    model = AutoModelForCausalLM.from_pretrained(ullage.tiny_path()).eval()
    extractor = ullage.Extractor(model, [SITE], positions="last")
    ids = [[3 + number % 50 for number in range(20)]]

    def plain() -> None:
        for _ in range(TURN):
            extractor.read(ids)

    def counted() -> None:
        for _ in range(TURN):
            kept: list[Any] = []
            with live.passing(1, 20, kept):
                kept += [tensor for each in extractor.read(ids) for tensor in each.states.values()]

    ratios = []
    live = LiveTensors()
    plain()
    for _ in range(turns):
        begun = time.process_time()
        plain()
        between = time.process_time()
        with live:
            counted()
        ratios.append((time.process_time() - between) / (between - begun))
    return interval(ratios)


def many(folder: Path, lines: int) -> million_lines.Body:
    """A workload of so many short texts."""
    import ullage

    small_models.write_texts(folder / "lines.jsonl", lines, LONGEST)
    return {
        "kind": "extract",
        "roles": {"model": {"model": str(ullage.tiny_path()), "batch": 64}},
        "prompt_tokens": 64,
        "captures": [{"sites": [SITE], "positions": "last", "keep": "disk"}],
        "extract": {"input": "lines.jsonl", "too_long": "truncate"},
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--before", help="the Python of version 0.1")
    parser.add_argument("--nnsight", help="the Python of an environment with nnsight")
    parser.add_argument("--pairs", type=int, default=30)
    parser.add_argument("--short", type=int, default=10_000, help="short texts beside version 0.1")
    parser.add_argument("--many", type=int, default=100_000, help="short texts without growth of memory")
    parser.add_argument("--runs", type=int, default=5, help="of the short texts, by each version")
    parser.add_argument("--out", type=Path, help="another result file")
    chosen = parser.parse_args()
    made = result_file.start("extract_speed")
    random.seed(0)
    with tempfile.TemporaryDirectory() as home:
        os.environ["ULLAGE_HOME"] = home
        figures: dict[str, Any] = {"watched": watched(chosen.pairs)}
        print(json.dumps(figures), flush=True)
        figures["short"] = short(chosen.before, chosen.short, chosen.runs)
        print(json.dumps(figures["short"]), flush=True)
        figures["stopped"] = stopped(chosen.pairs, chosen.nnsight)
        print(json.dumps(figures["stopped"]), flush=True)
        kind = million_lines.Kind(many, "journal.jsonl", b'"index": ', 0)
        figures["many"] = million_lines.watch(kind, chosen.many, Path(home) / "many")
    print(json.dumps(figures, indent=1))
    if chosen.out is not None:
        chosen.out.write_text(json.dumps(figures, indent=1) + "\n")
        return
    made.write(figures, claims_of(figures))


def claims_of(figures: dict[str, Any]) -> dict[str, bool]:
    """What must hold."""
    beside = [held["median"] for held in figures["stopped"].values() if isinstance(held, dict)]
    texts = figures["short"]
    found = {
        "not slower by more than 2 % than the faster of a bare stopped forward and nnsight": max(beside)
        <= SLOWER,
        "a matrix of the short texts takes at most 0.1 s": texts["matrix"]["now"] <= MATRIX_SECONDS,
        "counting live tensors costs at most 10 % on the smallest model": figures["watched"]["median"]
        <= COST,
        "many short texts: memory grows by at most 50 MiB after the first tenth": figures["many"]["growth"]
        <= GROWTH,
    }
    if "times_faster" in texts["reading"]:
        found["short texts are read in at most half of version 0.1's time"] = (
            texts["reading"]["times_faster"]["median"] >= FASTER
        )
    return found


if __name__ == "__main__":
    main()
