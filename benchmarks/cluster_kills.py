"""Random kills on one living Ray cluster of three nodes on this machine: actors and their worker processes,
whole nodes, and the driver; every run's rows against the local run's. Needs `ray`. Writes
results/cluster_kills.json.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import psutil
import result_file
from cluster_made import candidates, node_of, ray_cluster, script, verifying

import ullage
from ullage.records.parts import Parts

ROWS: Final = ("verified.jsonl", "failed.jsonl", "rejects.jsonl")
NODES: Final = 3
RECORDS: Final = 1440
PARTITION: Final = 48
BATCH: Final = 8
SECONDS: Final = 0.15
"""Of a batch."""
APART: Final = (1.5, 4.0)
"""Seconds between two kills of one run."""
DRIVER: Final = """
import sys, ullage
from pathlib import Path
ullage.run(ullage.load("work.json"), Path(sys.argv[1]), base=Path(), on=sys.argv[2])
"""


@dataclass(slots=True)
class Killer:
    """Kills at random moments of a run, while it has partitions to do: `left` says how many times more."""

    run: Path
    left: int
    chance: random.Random
    kill: Callable[[], str]
    killed: list[str] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def work(self) -> None:
        """Until none is left, or the run is over."""
        while self.left and not self.over.wait(self.chance.uniform(*APART)):
            parts = Parts(self.run)
            if parts.count is None or not parts.kept or parts.kept >= parts.count - 1:
                continue
            what = self.kill()
            if what:
                self.killed.append(what)
                self.left -= 1


def workers() -> list[psutil.Process]:
    """Processes in which Ray runs something for this program's clusters: actors, and those that wait. The
    agents of a node are named alike, and a node ends with any of them."""
    found = []
    for each in psutil.Process().children(recursive=True):
        try:
            title = each.cmdline()[:1]
        except psutil.Error:
            continue
        if title and (title[0].startswith("ray::IDLE") or "Actor" in title[0]):
            found.append(each)
    return found


def kill_worker(chance: random.Random) -> str:
    """Ends one of them with SIGKILL; its kind."""
    found = workers()
    if not found:
        return ""
    each = chance.choice(found)
    try:
        name = each.cmdline()[0]
        each.kill()
    except psutil.Error:
        return ""
    return "actor" if "Actor" in name else "waiting worker"


def told(folder: Path, name: str, record: Any, killed: list[str], seconds: float) -> dict[str, Any]:
    """What one run was, and whether anything is missing or twice."""
    same = all((folder / name / row).read_bytes() == (folder / "local" / row).read_bytes() for row in ROWS)
    accounts = record.outcome["partitions"]
    return {
        "killed": dict(Counter(killed)),
        "same": same and ullage.check_run(folder / name).holds,
        "again": accounts["again"],
        "seconds": round(seconds, 1),
    }


def driven(folder: Path, name: str, on: str, killer: Killer) -> dict[str, Any]:
    """A run on the cluster while the killer works."""
    thread = threading.Thread(target=killer.work, daemon=True)
    thread.start()
    begun = time.monotonic()
    _, record = ullage.run(ullage.load(work()), folder / name, base=folder, on=on)
    killer.over.set()
    thread.join()
    return told(folder, name, record, killer.killed, time.monotonic() - begun)


def driver_killed(folder: Path, name: str, on: str, chance: random.Random) -> dict[str, Any]:
    """A driver of its own is killed, and the run resumed."""
    run = folder / name
    begun = time.monotonic()
    driver = subprocess.Popen([sys.executable, "-c", DRIVER, str(run), on], cwd=folder)
    while not (Parts(run).count and Parts(run).kept):
        time.sleep(0.05)
    time.sleep(chance.uniform(0, 5))
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    record = ullage.resume(run, on=on)
    return told(folder, name, record, ["driver"], time.monotonic() - begun)


def work() -> dict[str, Any]:
    return verifying(BATCH, PARTITION)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--workers", type=int, default=30)
    parser.add_argument("--nodes", type=int, default=5)
    parser.add_argument("--drivers", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    made, chance = result_file.start("cluster_kills"), random.Random(given.seed)
    runs: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        os.environ["ULLAGE_HOME"] = f"{folder}/home"
        candidates(folder / "records.jsonl", RECORDS)
        script(folder / "script.jsonl", SECONDS)
        (folder / "work.json").write_text(json.dumps(work()))
        ullage.run(ullage.load(work()), folder / "local", base=folder)
        with ray_cluster([1] * NODES) as cluster:
            on = cluster.address

            def kill_node() -> str:
                node = chance.choice(sorted(cluster.worker_nodes, key=id))
                cluster.remove_node(node, allow_graceful=False)
                return "node"

            def until(kind: str, count: int, kill: Callable[[], str], most: int) -> None:
                done = 0
                while done < count:
                    name = f"{kind}-{len(runs)}"
                    killer = Killer(folder / name, min(most, count - done), chance, kill)
                    runs.append(driven(folder, name, on, killer))
                    done += len(killer.killed)
                    while (
                        len(cluster.worker_nodes) < NODES - 1
                    ):  # Ray starts nodes from the main thread alone
                        cluster.add_node(**node_of(1))
                    print(json.dumps(runs[-1]), flush=True)

            until("worker", given.workers, lambda: kill_worker(chance), 5)
            until("node", given.nodes, kill_node, 2)
            for _ in range(given.drivers):
                runs.append(driver_killed(folder, f"driver-{len(runs)}", on, chance))
                print(json.dumps(runs[-1]), flush=True)
    killed: Counter[str] = Counter()
    for each in runs:
        killed.update(each["killed"])
    figures = {"records": RECORDS, "partition": PARTITION, "runs": runs, "killed": dict(killed)}
    claims = {
        "every run's rows are those of the local run, none missing, none twice": all(r["same"] for r in runs),
        "no more partitions are done again than were in flight on what died": all(
            r["again"] <= sum(NODES if what == "driver" else count for what, count in r["killed"].items())
            for r in runs
        ),
    }
    made.write(figures, claims)


if __name__ == "__main__":
    main()
