"""Evaluations by the bundled model on a Ray cluster of two nodes on this machine, against local runs in the
same partitions: the same bytes, also where an actor is killed while it answers or while it judges. Needs
`ray`. Writes results/cluster_evaluations.json.
"""

from __future__ import annotations

import json
import os
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psutil
import result_file
from cluster_made import ray_cluster

import ullage
from ullage.records.parts import Parts

QUESTIONS: Final = 40
PARTITION: Final = 5
SCHEDULES: Final = ("sequential", "simultaneous", "swapped")
OUTPUT: Final = (
    "results.parquet",
    "scores.json",
    "greedy.jsonl",
    "samples.jsonl",
    "check_judge.jsonl",
    "judge.jsonl",
)
LOOK_SECONDS: Final = 0.02
LIMIT_SECONDS: Final = 120.0


def evaluating(schedule: str, partition: int = PARTITION) -> dict[str, Any]:
    """The bundled model answers, and judges its own answers once judges were judged."""
    tiny = {"model": "ullage:tiny", "batch": 4}
    return {
        "kind": "evaluate",
        "budget": {"gpus": "cpu"},
        "schedule": schedule,
        "roles": {"generator": tiny, "judge": {**tiny, "prompt_tokens": 96}},
        "prompt_tokens": 384,
        "new_tokens": 16,
        "evaluate": {
            "input": "questions.jsonl",
            "fields": {"references": "truth", "context": "context"},
            "instruction": "Be honest. Answer briefly.",
            "template": "{context} {question}",
            "samples": 2,
            "judge_system": "Judge whether the answer is correct. Reply {verdicts}.",
            "judge_unanswerable": "unknown",
            "judge_check": 8,
        },
        "partition": {"records": partition, "patience": 400},
    }


@dataclass(slots=True)
class Killer:
    """Kills the first actor that is seen at a partition after the first, once the partition has rows of
    `stage`; `partition` is which that was."""

    run: Path
    stage: str
    partition: int | None = None

    def start(self) -> threading.Thread:
        thread = threading.Thread(target=self._wait, daemon=True)
        thread.start()
        return thread

    def _wait(self) -> None:
        parts, until = Parts(self.run), time.monotonic() + LIMIT_SECONDS
        while self.partition is None and time.monotonic() < until:
            time.sleep(LOOK_SECONDS)
            for each in parts.path.glob(f"doing/*/{self.stage}.jsonl"):
                number = int(each.parent.name.split(".")[0])
                if parts.kept and self._end(each.parent) and not parts.has(number):
                    self.partition = number
                    return

    def _end(self, folder: Path) -> bool:
        """Whether an actor had files of this folder open; it has no more."""
        for each in psutil.Process().children(recursive=True):
            try:
                if any(Path(file.path).is_relative_to(folder.resolve()) for file in each.open_files()):
                    each.kill()
                    return True
            except psutil.Error:
                continue
        return False


def beside(folder: Path, schedule: str, on: str, killed_at: str | None = None) -> dict[str, Any]:
    """A run on the cluster beside the local one of that schedule, and what its record says of partitions."""
    name = schedule if killed_at is None else f"{schedule}-{killed_at}"
    run, local, begun = folder / f"{name}-cluster", folder / f"{schedule}-local", time.monotonic()
    killer = None if killed_at is None else Killer(run, killed_at)
    killing = None if killer is None else killer.start()
    _, record = ullage.run(ullage.load(evaluating(schedule)), run, base=folder, on=on)
    if killing is not None:
        killing.join()
    accounts: Any = record.outcome["partitions"]
    differing = [each for each in OUTPUT if (run / each).read_bytes() != (local / each).read_bytes()]
    return {
        "differing": differing,
        "whole": ullage.check_run(run).holds,
        "killed_at": None if killer is None else killer.partition,
        "partitions": accounts["count"],
        "again": accounts["again"],
        "actors": len(accounts["actors"]),
        "seconds": round(time.monotonic() - begun, 1),
    }


def main() -> None:
    made = result_file.start("cluster_evaluations")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["ULLAGE_HOME"] = f"{folder}/home"
        ullage.sample("answer", folder / "questions.jsonl", count=QUESTIONS)
        for schedule in SCHEDULES:
            ullage.run(ullage.load(evaluating(schedule)), folder / f"{schedule}-local", base=folder)
        whole = evaluating(SCHEDULES[0], QUESTIONS)
        ullage.run(ullage.load(whole), folder / "whole", base=folder)
        runs: dict[str, dict[str, Any]] = {}
        with ray_cluster([1, 1]) as cluster:
            for schedule in SCHEDULES:
                runs[schedule] = beside(folder, schedule, cluster.address)
            for schedule, stage in (("sequential", "judge"), ("simultaneous", "samples")):
                runs[f"{schedule}, killed at {stage}"] = beside(folder, schedule, cluster.address, stage)
        scores = _same(folder, "scores.json", "whole", "sequential-local")
    print(json.dumps(runs, indent=1))
    claims = {f"{name}: the output is that of the local run": _holds(each) for name, each in runs.items()}
    killed = [each for each in runs.values() if each["again"]]
    claims["two actors were killed at work, and their partitions alone done again"] = len(
        killed
    ) == 2 and all(each["again"] == 1 and each["killed_at"] is not None for each in killed)
    claims["one partition of all questions has the scores of eight"] = scores
    made.write({"questions": QUESTIONS, "partition": PARTITION, "runs": runs}, claims)


def _same(folder: Path, name: str, *runs: str) -> bool:
    return len({(folder / run / name).read_bytes() for run in runs}) == 1


def _holds(run: dict[str, Any]) -> bool:
    return run["differing"] == [] and bool(run["whole"])


if __name__ == "__main__":
    main()
