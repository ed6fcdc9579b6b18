"""What runs on this machine's first CUDA GPU take, beside what was planned: memory of every level, and time.

    python benchmarks/gpu.py                     # every section, at most 7 minutes; results/gpu-NAME.json
    python benchmarks/gpu.py prefill decode      # these sections alone

Random weights and no download. A section is a process of its own, so that one that breaks the GPU's context
costs its own rest only; each result is written as soon as it is there (`--rows FILE`). Live and reserved are
torch's counters, process and device NVML's. Without a GPU it says so and ends.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import extract_memory
import gpu_sections
import result_file

SECONDS = 420
LEVELS = ("live", "reserved", "process", "device")


def main() -> None:
    import torch

    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("sections", nargs="*", help="all of them, in their order, where none is named")
    parser.add_argument(
        "--seconds", type=float, default=SECONDS, help="what has not begun by then is left out"
    )
    parser.add_argument("--rows", type=Path, help="where each result goes as soon as it is there")
    parser.add_argument("--section", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if unknown := set(asked.sections) - set(gpu_sections.SECTIONS):
        parser.error(f"no section {', '.join(sorted(unknown))}; there are {', '.join(gpu_sections.SECTIONS)}")
    if not torch.cuda.is_available():
        print("no CUDA GPU here: nothing measured", file=sys.stderr)
        return
    if asked.section:
        gpu_sections.run(asked.section, asked.rows, time.monotonic() + asked.seconds)
        return
    measure(asked.sections or list(gpu_sections.SECTIONS), asked.seconds, asked.rows)


def measure(sections: list[str], seconds: float, kept: Path | None) -> None:
    """Each section in a process, one after another; then the result file."""
    import torch

    name = torch.cuda.get_device_name(0)
    made = result_file.start("gpu", re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-"))
    begun = time.monotonic()
    took = {}
    with tempfile.TemporaryDirectory() as folder:
        rows_file = kept or Path(folder) / "rows.jsonl"
        rows_file.touch()
        for section in sections:
            left = seconds - (time.monotonic() - begun)
            if left < 15:
                print(f"{section}: left out, the time is up", file=sys.stderr)
                continue
            since = time.monotonic()
            run_section(section, rows_file, min(left, gpu_sections.SECTIONS[section].seconds))
            took[section] = round(time.monotonic() - since, 1)
        rows = [json.loads(line) for line in rows_file.read_text().splitlines()]
    rows, sections_made = with_kept(made, rows, took)
    failed = [row for row in rows if "error" in row]
    levels = [dict(phase) for row in rows for phase in row.get("phases", ())]
    figures = {
        "gpu": name,
        "compute_capability": ".".join(map(str, torch.cuda.get_device_capability(0))),
        "memory_bytes": torch.cuda.get_device_properties(0).total_memory,
        "driver": driver(),
        "cuda": torch.version.cuda,
        "seconds": took,
        "sections": sections_made,
        "left_out": [each for each in gpu_sections.SECTIONS if each not in sections_made],
        "summary": {
            level: extract_memory.summary_of(levels, level)
            for level in LEVELS
            if any(level in each for each in levels)
        },
        "failed": failed,
        "rows": [row for row in rows if "error" not in row],
    }
    claims = extract_memory.none_above(figures["summary"])
    made.write(figures, claims | {"everything that was tried ran": not failed})


def with_kept(
    made: result_file.Measurement, rows: list[dict], took: dict[str, float]
) -> tuple[list[dict], dict[str, dict]]:
    """The rows with those of sections that were not measured now, as the result file has them; of which day
    and commit each section is."""
    now = {name: {"date": made.date, "commit": made.commit, "seconds": took[name]} for name in took}
    before: dict = {"rows": [], "sections": {}}
    if made.file.exists():
        before = result_file.read(made.file).figures
    kept = {name: each for name, each in before.get("sections", {}).items() if name not in now}
    return rows + [row for row in before["rows"] if row["section"] in kept], kept | now


def run_section(section: str, rows: Path, seconds: float) -> None:
    """One section in a process; a process that ends badly is a row that failed."""
    command = [sys.executable, __file__, "--section", section, "--rows", str(rows), "--seconds", str(seconds)]
    try:
        ended = subprocess.run(command, timeout=seconds + 45, check=False).returncode
    except subprocess.TimeoutExpired:
        ended = "more time than it had"
    if ended:
        with rows.open("a", encoding="utf-8") as file:
            file.write(
                json.dumps({"section": section, "name": "the section itself", "error": f"{ended}"}) + "\n"
            )


def driver() -> str:
    import pynvml

    pynvml.nvmlInit()
    return str(pynvml.nvmlSystemGetDriverVersion())


if __name__ == "__main__":
    main()
