"""Runs on a Ray cluster of three nodes on this machine, against local runs: the same bytes, also where
actors, a node and the driver are killed, and where a record ends whatever does it. Needs `ray`. Writes
results/cluster_runs.json.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import psutil
import result_file
import small_models
from cluster_made import candidates, ray_cluster, script, verifying

import ullage
from ullage.records.folder import RunFolder
from ullage.records.parts import Parts
from ullage.scale.blame import REASON

ROWS: Final = ("verified.jsonl", "failed.jsonl", "rejects.jsonl")
PARTITION: Final = 1000
FEW: Final = 2000
"""Records of the runs with models, and of that with the record that ends actors."""
FATAL: Final = 777
"""Number of that record."""
PATCH: Final = """
import os
import ullage.engines.scripted as scripted
score = scripted.ScriptedEngine.score
def scored(self, prompts, choices):
    if any("fatal-" in str(prompt) for prompt in prompts):
        os._exit(9)
    return score(self, prompts, choices)
scripted.ScriptedEngine.score = scored
"""
"""What Ray's workers do at their start."""
DRIVER: Final = """
import sys, ullage
from pathlib import Path
ullage.run(ullage.load("work.json"), Path(sys.argv[1]), base=Path(), on=sys.argv[2])
"""


def make(folder: Path, count: int) -> None:
    """The input, its script and the workload; a small model; what Ray's workers are patched with."""
    candidates(folder / "records.jsonl", count)
    script(folder / "script.jsonl")
    (folder / "work.json").write_text(json.dumps(verifying(8, PARTITION)))
    candidates(folder / "few.jsonl", FEW)
    lines = (folder / "few.jsonl").read_text().splitlines()
    found = {"type": "phone", "start": 5, "end": 10}
    lines[FATAL] = json.dumps({"id": FATAL, "text": "Call fatal-1 now", "candidates": [found]})
    (folder / "fatal.jsonl").write_text("\n".join(lines) + "\n")
    texts = (json.dumps({"id": number, "text": f"the cat {number} ran"}) for number in range(FEW))
    (folder / "texts.jsonl").write_text("\n".join(texts) + "\n")
    tokenizer = small_models.tokenizer()
    small_models.build("llama", vocabulary=len(tokenizer)).save_pretrained(folder / "model")
    tokenizer.save_pretrained(folder / "model")
    (folder / "patch").mkdir()
    (folder / "patch/sitecustomize.py").write_text(PATCH)


def works(kind: str) -> dict[str, Any]:
    """The workloads beside the large one."""
    if kind == "extract":
        return {
            "kind": "extract",
            "roles": {"model": {"model": "./model", "batch": 8}},
            "budget": {"gpus": "cpu"},
            "prompt_tokens": 16,
            "captures": [{"sites": ["blocks.*.hook_resid_post"], "positions": "last", "keep": "disk"}],
            "extract": {"input": "texts.jsonl"},
            "partition": {"records": 250, "patience": 120},
        }
    if kind == "bundled":
        work = verifying(8, 250, "ullage:tiny") | {"pii": {"input": "few.jsonl"}}
        return {name: value for name, value in work.items() if name != "cards"} | {"budget": {"gpus": "cpu"}}
    return verifying(8, 250) | {"pii": {"input": "fatal.jsonl"}}


def actors() -> list[psutil.Process]:
    """Processes of this run's actors, which Ray starts below this one."""
    below = psutil.Process().children(recursive=True)
    return [each for each in below if "Actor" in " ".join(each.cmdline()[:1])]


def once(run: Path, kept: int, act: Callable[[], None]) -> threading.Thread:
    """Does `act` when so many partitions are kept."""

    def wait() -> None:
        while Parts(run).kept < kept:
            time.sleep(0.02)
        act()

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    return thread


def kill_actor() -> None:
    """Ends one with SIGKILL."""
    for each in actors()[:1]:
        each.kill()


def measured(folder: Path, name: str, on: str, work: Any = None) -> dict[str, Any]:
    """One run to its end, and what its record says of partitions."""
    begun = time.monotonic()
    given = verifying(8, PARTITION) if work is None else work
    _, record = ullage.run(ullage.load(given), folder / name, base=folder, on=on)
    return told(folder, name, time.monotonic() - begun, record.outcome["partitions"])


def told(folder: Path, name: str, seconds: float, accounts: Any, local: str = "local") -> dict[str, Any]:
    """The figures of a run that has ended."""
    same = all((folder / name / row).read_bytes() == (folder / local / row).read_bytes() for row in ROWS)
    whole = ullage.check_run(folder / name).holds
    return {
        "same": same and whole,
        "seconds": round(seconds, 1),
        "partitions": accounts["count"],
        "again": accounts["again"],
        "actors": len(accounts["actors"]),
    }


def beside(folder: Path, kind: str, on: str) -> dict[str, Any]:
    """A run with a model here and there: of rows, and of states and their journals, the same bytes."""
    paths = [folder / f"{kind}-{where}" for where in ("local", "cluster")]
    for path, where in zip(paths, ("local", on), strict=True):
        _, record = ullage.run(ullage.load(works(kind)), path, base=folder, on=where)
    names = [
        sorted(str(each.relative_to(path)) for each in path.rglob("*") if _is_output(each)) for path in paths
    ]
    same = names[0] == names[1] and bool(names[0])
    same = same and all((paths[0] / name).read_bytes() == (paths[1] / name).read_bytes() for name in names[0])
    accounts: Any = record.outcome["partitions"]
    return {
        "same": same and ullage.check_run(paths[1]).holds,
        "files": len(names[0]),
        "partitions": accounts["count"],
        "again": accounts["again"],
        "actors": len(accounts["actors"]),
    }


def _is_output(path: Path) -> bool:
    """Rows and states. That journal which has the seconds of batches too is another in every run."""
    named = (*ROWS, "journal.jsonl") if (path.parent / "states").is_dir() else ROWS
    return path.is_file() and (path.suffix == ".safetensors" or path.name in named)


def fatal(folder: Path, on: str) -> dict[str, Any]:
    """A run with a record that ends whatever does it; others are those of a local run, where it does not."""
    _, record = ullage.run(ullage.load(works("fatal")), folder / "fatal", base=folder, on=on)
    ullage.run(ullage.load(works("fatal")), folder / "harmless", base=folder)
    own, others = (
        [json.loads(line) for line in (folder / name / "verified.jsonl").read_text().splitlines()]
        for name in ("fatal", "harmless")
    )
    rejects = [json.loads(line) for line in (folder / "fatal/rejects.jsonl").read_text().splitlines()]
    accounts: Any = record.outcome["partitions"]
    return {
        "same": own == [row for row in others if row["id"] != FATAL],
        "rejected": [(row["line"], row["reason"]) for row in rejects],
        "lost": accounts["lost"],
        "trials": accounts["trials"],
        "again": accounts["again"],
    }


def killed_driver(folder: Path, on: str) -> dict[str, Any]:
    """A driver of its own is killed, and the run resumed."""
    run = folder / "driver"
    driver = subprocess.Popen([sys.executable, "-c", DRIVER, str(run), on], cwd=folder)
    once(run, 6, lambda: driver.send_signal(signal.SIGKILL)).join()
    driver.wait()
    before, begun = Parts(run).kept, time.monotonic()
    assert not RunFolder(run).complete
    record = ullage.resume(run, on=on)
    found = told(folder, "driver", time.monotonic() - begun, record.outcome["partitions"])
    return {**found, "kept_before": before}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--records", type=int, default=100_000)
    count = parser.parse_args().records
    made = result_file.start("cluster_runs")
    with tempfile.TemporaryDirectory() as name:
        folder, begun = Path(name), time.monotonic()
        make(folder, count)
        os.environ["ULLAGE_HOME"] = f"{folder}/home"
        figures: dict[str, Any] = {"records": count, "few": FEW}
        figures["local"] = measured(folder, "local", "local")
        os.environ["PYTHONPATH"] = os.pathsep.join(
            filter(None, (f"{folder}/patch", os.environ.get("PYTHONPATH")))
        )
        with ray_cluster([1, 1, 1]) as cluster:
            figures["cluster_seconds"] = round(time.monotonic() - begun, 1)
            on = cluster.address
            figures["cluster"] = measured(folder, "cluster", on)
            once(folder / "actor", 4, kill_actor)
            once(folder / "actor", 12, kill_actor)
            figures["killed actors"] = measured(folder, "actor", on)
            figures["killed driver"] = killed_driver(folder, on)
            figures["extract"] = beside(folder, "extract", on)
            figures["bundled"] = beside(folder, "bundled", on)
            figures["fatal"] = fatal(folder, on)
            last = next(iter(cluster.worker_nodes))
            once(folder / "node", 4, lambda: cluster.remove_node(last, allow_graceful=False))
            figures["killed node"] = measured(folder, "node", on)
    print(json.dumps(figures, indent=1))
    runs = {name: each for name, each in figures.items() if isinstance(each, dict)}
    claims = {f"{name}: the output is that of the local run": each["same"] for name, each in runs.items()}
    claims |= {
        f"{name}: no more is done again than was in flight": each["again"] <= 3
        for name, each in runs.items()
        if name != "fatal"
    }
    claims["killed actors: something was done again"] = runs["killed actors"]["again"] > 0
    claims["fatal: that record alone is rejected"] = runs["fatal"]["rejected"] == [(FATAL + 1, REASON)]
    made.write(figures, claims)


if __name__ == "__main__":
    main()
