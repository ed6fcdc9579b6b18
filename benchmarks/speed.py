"""How long planning takes: a cold `ullage plan`, and ten thousand candidate plans.

    python benchmarks/speed.py        # prints, writes results/speed.json and the table of docs/accuracy.md

The cold start is timed as a whole process, side by side with a process that only imports the four
libraries the command line is built on, so that the machine's own speed can be told apart.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import result_file

from ullage import api
from ullage.spec.changes import apply_changes

ROOT = Path(__file__).parent.parent
LIBRARIES = "import typer, pydantic, yaml, rich.console, rich.table"
RUNS = 15
CANDIDATES = 2_000


def process_seconds(command: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True, cwd=ROOT)
    return time.perf_counter() - start


def cold_start() -> dict:
    plan = [str(Path(sys.executable).parent / "ullage"), "plan", "examples/werewolf.yaml"]
    libraries = [sys.executable, "-c", LIBRARIES]
    process_seconds(plan)
    pairs = [(process_seconds(plan), process_seconds(libraries)) for _ in range(RUNS)]
    planned, imported = zip(*pairs, strict=True)
    return {
        "runs": RUNS,
        "plan_milliseconds": {"median": ms(statistics.median(planned)), "least": ms(min(planned))},
        "libraries_alone_milliseconds": {
            "median": ms(statistics.median(imported)),
            "least": ms(min(imported)),
        },
        "ratio": round(statistics.median(planned) / statistics.median(imported), 2),
    }


def ms(seconds: float) -> int:
    return round(seconds * 1000)


def candidates(file: str) -> dict:
    """Seconds for 10,000 candidate plans, from `CANDIDATES` that all differ."""
    workload = api.load(ROOT / file)
    gpus = api.gpu_set(workload, None)
    models = api.models_of(workload)
    role = next(iter(workload.roles))
    grid = [
        (batch, precision, tokens)
        for batch in range(1, 1000)
        for precision in ("bf16", "int8", "nf4")
        for tokens in (512, 1024, 1536, 2048)
    ][:CANDIDATES]
    start = time.perf_counter()
    for batch, precision, tokens in grid:
        changes = (
            (f"roles.{role}.batch", str(batch)),
            (f"roles.{role}.precision", precision),
            ("prompt_tokens", str(tokens)),
        )
        api.outcome(apply_changes(workload, changes), models, gpus)
    seconds = time.perf_counter() - start
    return {"gpus": gpus.name, "seconds_per_10000": round(seconds * 10_000 / len(grid), 2)}


START, END = "<!-- made by benchmarks/speed.py -->", "<!-- end of speed -->"


def write_docs(document: dict) -> None:
    """Rewrites the table between the markers of docs/accuracy.md."""
    cold = document["cold_start"]
    plan, libraries = cold["plan_milliseconds"], cold["libraries_alone_milliseconds"]
    lines = ["| what | measured | target |", "|---|---|---|"]
    lines.append(
        f"| `ullage plan examples/werewolf.yaml`, whole process, median of {cold['runs']} (least) | "
        f"{plan['median']} ms ({plan['least']} ms) | 300 ms |"
    )
    lines.append(
        f"| the four libraries alone, same run | {libraries['median']} ms ({libraries['least']} ms) | |"
    )
    for file, found in document["candidate_plans"].items():
        name = f"10,000 candidate plans of `{file}` on {found['gpus']}"
        lines.append(f"| {name} | {found['seconds_per_10000']} s | 5 s |")
    page = ROOT / "docs/accuracy.md"
    before, rest = page.read_text().split(START, 1)
    page.write_text(before + START + "\n\n" + "\n".join(lines) + "\n\n" + END + rest.split(END, 1)[1])


def main() -> None:
    made = result_file.start("speed")
    document: dict[str, Any] = {
        "cold_start": cold_start(),
        "candidate_plans": {
            file: candidates(file)
            for file in ("examples/pii.yaml", "examples/extract.yaml", "examples/werewolf.yaml")
        },
    }
    made.write(document)
    write_docs(document)


if __name__ == "__main__":
    main()
