"""Runs of `ullage run` that get SIGKILL at random moments and are resumed, for the benchmarks of faults."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from forks import Forks


def kills_hold(found: dict[str, Any]) -> dict[str, bool]:
    """What `kill_runs` found, as a claim."""
    return {
        "every killed run ends with the bytes of one left alone": found["byte_identical"] == found["runs"]
    }


def kill_runs(
    file: Path | Callable[[str], Path],
    folder: Path,
    count: int,
    contents: Callable[[Path], dict[str, bytes]],
    look: Callable[[Path], object] = lambda run: None,
) -> dict[str, Any]:
    """`count` kills over as many runs of the workload `file`, or of the one it gives each run's name, as it
    takes, beside one left alone in `folder/whole`: how many runs end with the same `contents`. After each
    kill `look` is called with the run."""
    file_of = file if callable(file) else lambda name: file
    forks = Forks({"OMP_NUM_THREADS": "1"})
    forks.run("--version")  # after all imports
    begun = time.monotonic()
    assert forks.run("run", file_of("whole"), "--out", folder / "whole", "--quiet").returncode == 0
    duration = time.monotonic() - begun
    whole = contents(folder / "whole")
    chance = random.Random(0)
    killed = finished = equal = number = 0
    while killed < count:
        number += 1
        run = folder / f"run-{number}"
        arguments = ["run", str(file_of(run.name)), "--out", str(run), "--quiet"]
        while True:
            code = _killed(forks, arguments, chance.uniform(0, duration) if killed < count else None)
            killed += code == -signal.SIGKILL
            look(run)
            if code == 0:
                break
            if (run / "manifest.json").exists():
                arguments = ["run", "--resume", str(run), "--quiet"]
        finished += 1
        equal += contents(run) == whole
    forks.close()
    return {
        "kills": killed,
        "runs": finished,
        "byte_identical": equal,
        "seconds_of_a_run": round(duration, 2),
    }


def _killed(forks: Forks, arguments: Sequence[str], seconds: float | None) -> int:
    """The exit code of a command that is killed after so many seconds, where it has not ended by then."""
    if seconds is None:
        return forks.run(*arguments).returncode
    end = time.monotonic() + seconds
    return forks.run(*arguments, when=lambda _: time.monotonic() >= end).returncode
