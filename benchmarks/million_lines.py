"""A million short lines through every kind that reads lines: benchmarks/results/million_lines.json.

    python benchmarks/million_lines.py [--lines 1000000] [--kinds extract evaluate pii]

Each kind is one `ullage run` in a process of its own, seen from outside. Verifying and answering are done by
a script that costs next to nothing, states are those of a random model of a few thousand weights, so that
what grows is what Ullage holds. Told are, from the start of the process to the first result on disk, seconds
by the clock and of computing (of all its threads), which are the same on a machine that does nothing else,
and those of computing that a process takes to import torch and transformers alone; the resident size when a
tenth of the lines was done (for an evaluation: answered); and the largest one from there on, the system's own
peak, begun anew at that tenth: while the work went on (for an evaluation: until the last answer was judged),
and until the process had ended, report or index and all. Those need libraries that the work does not, so the
whole process is also compared with one over a hundredth of the lines.
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
POLL_SECONDS = 0.05
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


@dataclass(frozen=True, slots=True)
class Kind:
    """What makes the workload; the file and the mark in it by which finished lines are counted; how many
    times the journal says `"unit": "end"` when the work is done, 0 where it never does: then it is done with
    the last line."""

    make: Callable[[Path, int], Body]
    file: str
    mark: bytes
    ends: int


KINDS = {
    "extract": Kind(extract, "journal.jsonl", b'"index": ', 0),
    "evaluate": Kind(evaluate, "greedy.jsonl", b"\n", 2),
    "pii": Kind(pii, "verified.jsonl", b"\n", 1),
}


def resident(process: int, what: str) -> int:
    """Bytes of a process: VmRSS, those it has now, or VmHWM, the most it had; 0 once it has ended."""
    try:
        for line in Path(f"/proc/{process}/status").read_text().splitlines():
            if line.startswith(what):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


def computing(process: int) -> float:
    """Seconds that all threads of a process have computed so far."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Watch:
    """One process, from its start to its end."""

    def __init__(self, process: int, finished: Lines, ends: Lines, kind: Kind, lines: int) -> None:
        self._process, self._finished, self._ends = process, finished, ends
        self._kind, self._lines, self._begun = kind, lines, time.monotonic()
        self.found: Body = {"lines": lines}
        self._at_work = 0

    def look(self) -> None:
        """Whatever can be told now."""
        found = self.found
        peak = resident(self._process, "VmHWM")
        if "resident_at_a_tenth" in found:
            found["largest_after"] = max(found.get("largest_after", 0), peak)
            found["largest"] = max(found["largest"], peak)
            if self._working():
                self._at_work = found["largest_after"]
            return
        found["largest"] = max(found.get("largest", 0), peak)
        done = self._finished.look()
        if done and "seconds_to_first_result" not in found:
            found["computing_to_first_result"] = round(computing(self._process), 2)
            found["seconds_to_first_result"] = round(time.monotonic() - self._begun, 2)
        if done >= self._lines / 10:
            found["resident_at_a_tenth"] = resident(self._process, "VmRSS")
            Path(f"/proc/{self._process}/clear_refs").write_text("5")  # the peak, from here on
            self._at_work = found["resident_at_a_tenth"]

    def _working(self) -> bool:
        """Whether lines are still to be done: what follows is a report, or the index of what was stored."""
        if self._kind.ends:
            return self._ends.look() < self._kind.ends
        return self._finished.look() < self._lines

    def ended(self) -> Body:
        """All figures."""
        found, tenth = self.found, self.found["resident_at_a_tenth"]
        found["seconds"] = round(time.monotonic() - self._begun, 1)
        found["growth"] = max(found["largest_after"] - tenth, 0)
        found["growth_at_work"] = max(self._at_work - tenth, 0)
        return found


def watch(kind: Kind, lines: int, folder: Path) -> Body:
    """One run, seen from outside."""
    folder.mkdir()
    body = {**kind.make(folder, lines), "budget": {"gpus": "cpu"}, "examples": lines}
    (folder / "workload.json").write_text(json.dumps(body))
    run = folder / "run"
    command = [sys.executable, "-m", "ullage", "run", str(folder / "workload.json"), "--out", str(run)]
    process = subprocess.Popen([*command, "--quiet"], stdout=subprocess.DEVNULL)
    finished = Lines(run / kind.file, kind.mark)
    seen = Watch(process.pid, finished, Lines(run / "journal.jsonl", b'"unit": "end"'), kind, lines)
    while process.poll() is None:
        seen.look()
        time.sleep(POLL_SECONDS)
    assert process.returncode == 0, f"ended with {process.returncode}"
    assert finished.look() == lines, f"{finished.count:,} lines have a result"
    assert json.loads((run / "record.json").read_text())["examples"] == lines
    return seen.ended()


def importing() -> float:
    """Seconds of computing that it takes to import what every run does, whatever it reads."""
    command = "import torch; from transformers import AutoModelForCausalLM, AutoTokenizer"
    before = os.times()
    subprocess.run([sys.executable, "-c", command], check=True)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def with_others(
    made: result_file.Measurement, figures: Body, claims: dict[str, bool]
) -> tuple[Body, dict[str, bool]]:
    """These, and those of the kinds that were not asked for now, where the same sources gave them before."""
    try:
        before = result_file.read(made.file)
    except result_file.DamagedResultError:
        return figures, claims
    if before.sources != made.sources:
        return figures, claims
    others = {name: found for name, found in before.figures.items() if name not in figures}
    kept = {claim: holds for claim, holds in before.claims.items() if claim.partition(":")[0] in others}
    return others | figures, kept | claims


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    chosen = parser.parse_args()
    made = result_file.start("million_lines")
    figures: Body = {}
    claims: dict[str, bool] = {}
    for name in chosen.kinds:
        with tempfile.TemporaryDirectory() as folder:
            os.environ["ULLAGE_HOME"] = f"{folder}/home"
            imports = round(importing(), 2)
            few = watch(KINDS[name], max(chosen.lines // 100, 1000), Path(folder) / "few")
            found = watch(KINDS[name], chosen.lines, Path(folder) / "many")
        found["growth_beside_a_hundredth"] = found["largest"] - few["largest"]
        found["computing_of_imports"] = imports
        figures[name] = found
        print(name, json.dumps(found), flush=True)
        most = GROWTH_OF_PII if name == "pii" else GROWTH
        mib = f"at most {most >> 20} MiB"
        claims[f"{name}: the first result after at most {SECONDS:g} s of computing beside the imports"] = (
            found["computing_to_first_result"] - imports <= SECONDS
        )
        claims[f"{name}: at work, memory grows by {mib} after the first tenth"] = (
            found["growth_at_work"] <= most
        )
        claims[f"{name}: the whole process takes {mib} more than one over a hundredth of the lines"] = (
            found["growth_beside_a_hundredth"] <= most
        )
    made.write(*with_others(made, figures, claims))


if __name__ == "__main__":
    main()
