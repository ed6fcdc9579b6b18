"""A million short lines through every kind that reads lines: benchmarks/results/million_lines.json.

    python benchmarks/million_lines.py [--lines 1000000] [--kinds extract evaluate pii]

Each kind is one `ullage run` in a process of its own. Verifying and answering are done by a script that costs
next to nothing, states are those of a random model of a few thousand weights, so that what grows is what
Ullage holds. Told are the seconds from the start of the process to the first result on disk, its resident
size when a tenth of the lines was done (for an evaluation: answered), and the largest one from there until it
had ended, report and all: the system's own peak, begun anew at that tenth.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")
warnings.filterwarnings("ignore")

import result_file
import small_models

SECONDS = 5.0
GROWTH = 50 << 20
GROWTH_OF_PII = 20 << 20
POLL_SECONDS = 0.02
Body = dict[str, Any]


def extract(folder: Path, lines: int) -> Body:
    small_models.save(folder / "model", "llama", hidden=16, layers=1, heads=2, kv_heads=1)
    chance = random.Random(0)
    with (folder / "lines.jsonl").open("w") as file:
        for number in range(lines):
            words = " ".join(chance.choices(small_models.WORDS[:12], k=chance.randint(3, 9)))
            file.write(json.dumps({"id": f"t{number}", "text": words}) + "\n")
    return {
        "kind": "extract",
        "roles": {"model": {"model": "model", "batch": 32}},
        "prompt_tokens": 64,
        "captures": [{"sites": ["blocks.0.hook_resid_post"], "positions": "last", "keep": "disk"}],
        "extract": {"input": "lines.jsonl"},
    }


def evaluate(folder: Path, lines: int) -> Body:
    with (folder / "lines.jsonl").open("w") as file:
        for number in range(lines):
            record = {"id": f"q{number}", "question": f"What is {number} and one?", "references": ["42"]}
            file.write(json.dumps(record) + "\n")
    said = [
        {"contains": "7 and one", "text": "forty two", "logprobs": [-0.5, -1.5], "entropies": [0.5, 1.0]},
        {"contains": "What is", "text": "42", "logprobs": [-0.25], "entropies": [0.25]},
    ]
    (folder / "script.jsonl").write_text("".join(json.dumps(one) + "\n" for one in said))
    judged = [
        {"contains": "forty", "scores": {"yes": -2.5, "no": -0.1}},
        {"scores": {"yes": -0.1, "no": -2.5}},
    ]
    (folder / "judge.jsonl").write_text("".join(json.dumps(one) + "\n" for one in judged))
    return {
        "kind": "evaluate",
        "roles": {
            "generator": {"model": "script.jsonl", "engine": "scripted", "batch": 32},
            "judge": {"model": "judge.jsonl", "engine": "scripted", "batch": 32},
        },
        "evaluate": {"input": "lines.jsonl"},
    }


def pii(folder: Path, lines: int) -> Body:
    chance = random.Random(0)
    with (folder / "lines.jsonl").open("w") as file:
        for number in range(lines):
            digits = " ".join(str(chance.randrange(10**4)) for _ in range(3))
            text = f"Record {number}: call {digits} or write to a{number}@drosa.org before noon, please."
            candidates = [
                {"type": "phone", "value": digits},
                {"type": "email", "value": f"a{number}@drosa.org"},
            ]
            file.write(json.dumps({"id": f"r{number}", "text": text, "candidates": candidates}) + "\n")
    (folder / "script.jsonl").write_text('{"scores": {"yes": -0.1, "no": -2.5}}\n')
    return {
        "kind": "pii",
        "roles": {"verifier": {"model": "script.jsonl", "engine": "scripted", "batch": 32}},
        "pii": {"input": "lines.jsonl"},
    }


@dataclass(slots=True)
class Lines:
    """Counts what has come to stand in a file; of each piece of it once."""

    path: Path
    mark: bytes
    count: int = 0
    _read: int = 0
    _rest: bytes = field(default=b"")

    def look(self) -> int:
        if self.path.exists():
            with self.path.open("rb") as file:
                file.seek(self._read)
                while data := file.read(1 << 20):
                    self._read += len(data)
                    held = self._rest + data
                    self.count += held.count(self.mark)
                    self._rest = held[len(held) - len(self.mark) + 1 :] if len(self.mark) > 1 else b""
        return self.count


KINDS: dict[str, tuple[Callable[[Path, int], Body], str, bytes]] = {
    "extract": (extract, "journal.jsonl", b'"index": '),
    "evaluate": (evaluate, "greedy.jsonl", b"\n"),
    "pii": (pii, "verified.jsonl", b"\n"),
}
"""What makes the workload, and the file and the mark in it by which finished lines are counted."""


def resident(process: int, what: str) -> int:
    """Bytes of a process: VmRSS, those it has now, or VmHWM, the most it had; 0 once it has ended."""
    try:
        for line in Path(f"/proc/{process}/status").read_text().splitlines():
            if line.startswith(what):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


def watch(kind: str, lines: int, folder: Path) -> dict[str, Any]:
    """One run, seen from outside."""
    make, name, mark = KINDS[kind]
    body = {**make(folder, lines), "budget": {"gpus": "cpu"}, "examples": lines}
    (folder / "workload.json").write_text(json.dumps(body))
    run = folder / "run"
    finished = Lines(run / name, mark)
    begun = time.monotonic()
    command = [sys.executable, "-m", "ullage", "run", str(folder / "workload.json"), "--out", str(run)]
    process = subprocess.Popen([*command, "--quiet"], stdout=subprocess.DEVNULL)
    first = tenth = peak = None
    begun_anew = 0.0
    while process.poll() is None:
        time.sleep(POLL_SECONDS if first is None else 5 * POLL_SECONDS)
        if tenth is None:
            done = finished.look()
            if done and first is None:
                first = time.monotonic() - begun
            if done >= lines / 10:
                tenth, begun_anew = resident(process.pid, "VmRSS"), time.monotonic() - begun
                Path(f"/proc/{process.pid}/clear_refs").write_text("5")  # the peak, from here on
        else:
            peak = resident(process.pid, "VmHWM") or peak
    seconds = time.monotonic() - begun
    assert process.returncode == 0, f"{kind}: ended with {process.returncode}"
    assert first is not None
    assert tenth is not None
    assert peak is not None
    assert finished.look() == lines, f"{kind}: {finished.count:,} lines have a result"
    record = json.loads((run / "record.json").read_text())
    assert record["examples"] == lines
    return {
        "lines": lines,
        "seconds": round(seconds, 1),
        "seconds_to_first_result": round(first, 2),
        "seconds_to_a_tenth": round(begun_anew, 1),
        "resident_at_a_tenth": tenth,
        "largest_after": peak,
        "growth": peak - tenth,
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    chosen = parser.parse_args()
    made = result_file.start("million_lines")
    figures: dict[str, Any] = {}
    for kind in chosen.kinds:
        with tempfile.TemporaryDirectory() as name:
            os.environ["ULLAGE_HOME"] = f"{name}/home"
            figures[kind] = watch(kind, chosen.lines, Path(name))
            print(kind, json.dumps(figures[kind]), flush=True)
    claims = {}
    for kind, found in figures.items():
        most = GROWTH_OF_PII if kind == "pii" else GROWTH
        claims[f"{kind}: the first result within {SECONDS:g} s"] = found["seconds_to_first_result"] <= SECONDS
        claims[f"{kind}: memory grows by at most {most >> 20} MiB after a tenth"] = found["growth"] <= most
    made.write(figures, claims)


if __name__ == "__main__":
    main()
