"""Runs of `ullage run` that get SIGKILL at random moments and are resumed, for the benchmarks of faults."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

# A worker that forks a run each time it is asked: importing torch 50 times over would be most of the time.
WORKER = """
import os, sys
import torch, transformers, pyarrow.parquet, ullage.api, MODULES
torch.set_num_threads(1)
from ullage.cli.main import program
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        sys.argv = ["ullage", *line.split()]
        program()
    print(child, flush=True)
    _, status = os.waitpid(child, 0)
    print(os.waitstatus_to_exitcode(status), flush=True)
"""


class Worker:
    """Starts runs, and kills them after a time; `modules` are imported once for all of them."""

    def __init__(self, modules: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", WORKER.replace("MODULES", modules)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, arguments: list[str], kill_after: float | None) -> int:
        """The exit code; -9 for a run that was killed."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(" ".join(arguments) + "\n")
        self._process.stdin.flush()
        child = int(self._line())
        if kill_after is not None:
            time.sleep(kill_after)
            with contextlib.suppress(ProcessLookupError):  # it may have ended by itself
                os.kill(child, signal.SIGKILL)
        return int(self._line())

    def _line(self) -> str:
        assert self._process.stdout is not None
        while True:
            line = self._process.stdout.readline().strip()
            if line.lstrip("-").isdigit():
                return line


def kills_hold(found: dict[str, Any]) -> dict[str, bool]:
    """What `kill_runs` found, as a claim."""
    return {
        "every killed run ends with the bytes of one left alone": found["byte_identical"] == found["runs"]
    }


def kill_runs(
    file: Path, folder: Path, count: int, modules: str, contents: Callable[[Path], dict[str, bytes]]
) -> dict[str, Any]:
    """`count` kills over as many runs of the workload `file` as it takes, beside one left alone in
    `folder/whole`: how many runs end with the same `contents`."""
    worker = Worker(modules)
    begun = time.monotonic()
    assert worker.run(["run", str(file), "--out", str(folder / "whole"), "--quiet"], None) == 0
    duration = time.monotonic() - begun
    whole = contents(folder / "whole")
    chance = random.Random(0)
    killed = finished = equal = number = 0
    while killed < count:
        number += 1
        run = folder / f"run-{number}"
        arguments = ["run", str(file), "--out", str(run), "--quiet"]
        while True:
            code = worker.run(arguments, chance.uniform(0, duration) if killed < count else None)
            killed += code == -9
            if code == 0:
                break
            if (run / "manifest.json").exists():
                arguments = ["run", "--resume", str(run), "--quiet"]
        finished += 1
        equal += contents(run) == whole
    return {
        "kills": killed,
        "runs": finished,
        "byte_identical": equal,
        "seconds_of_a_run": round(duration, 2),
    }
