"""Verifications on a Ray cluster of three nodes on this machine, against the local run: the same bytes, also
where actors, a node and the driver are killed. Needs `ray`. Writes results/cluster_runs.json.
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
from typing import Any

os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_enable_metrics_collection": "0", "OMP_NUM_THREADS": "1"}

import psutil
import result_file

import ullage
from ullage.records.folder import RunFolder
from ullage.records.parts import Parts

ROWS = ("verified.jsonl", "failed.jsonl", "rejects.jsonl")
STORE = 100 * 2**20
WORK = {
    "kind": "pii",
    "roles": {"verifier": {"model": "script.jsonl", "engine": "scripted", "batch": 2}},
    "budget": {"gpus": "cpu"},
    "new_tokens": 8,
    "pii": {"input": "records.jsonl"},
    "partition": {"records": 200, "patience": 120},
}
DRIVER = """
import sys, ullage
from pathlib import Path
ullage.run(ullage.load("work.json"), Path(sys.argv[1]), base=Path(), on=sys.argv[2])
"""


def make(folder: Path, count: int) -> None:
    """The input, its script and the workload."""
    words = ("real", "fake", "mute")
    with (folder / "records.jsonl").open("w") as file:
        for number in range(count):
            name = f"{words[number % 3]}-{number}"
            found = {"type": "phone", "start": 5, "end": 5 + len(name)}
            file.write(json.dumps({"id": number, "text": f"Call {name} now", "candidates": [found]}) + "\n")
    script = [
        {"contains": "[[mute", "scores": {"yes": float("-inf"), "no": float("-inf")}},
        {"contains": "[[real", "scores": {"yes": -0.1, "no": -3.0}},
        {"contains": "", "scores": {"yes": -3.0, "no": -0.1}},
    ]
    (folder / "script.jsonl").write_text("".join(json.dumps(line) + "\n" for line in script))
    (folder / "work.json").write_text(json.dumps(WORK))


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


def measured(folder: Path, name: str, on: str) -> dict[str, Any]:
    """One run to its end, and what its record says of partitions."""
    begun = time.monotonic()
    _, record = ullage.run(ullage.load(WORK), folder / name, base=folder, on=on)
    return told(folder, name, time.monotonic() - begun, record.outcome["partitions"])


def told(folder: Path, name: str, seconds: float, accounts: Any) -> dict[str, Any]:
    """The figures of a run that has ended."""
    same = all((folder / name / row).read_bytes() == (folder / "local" / row).read_bytes() for row in ROWS)
    whole = ullage.check_run(folder / name).holds
    return {
        "same": same and whole,
        "seconds": round(seconds, 1),
        "partitions": accounts["count"],
        "again": accounts["again"],
        "actors": len(accounts["actors"]),
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
    parser.add_argument("--records", type=int, default=6000)
    count = parser.parse_args().records
    made = result_file.start("cluster_runs")
    from ray.cluster_utils import Cluster

    with tempfile.TemporaryDirectory() as name:
        folder, begun = Path(name), time.monotonic()
        make(folder, count)
        os.environ["ULLAGE_HOME"] = f"{folder}/home"
        head = {"num_cpus": 1, "object_store_memory": STORE, "include_dashboard": False}
        cluster = Cluster(initialize_head=True, head_node_args=head)
        nodes = [cluster.add_node(num_cpus=1, object_store_memory=STORE) for _ in range(2)]
        figures: dict[str, Any] = {"cluster_seconds": round(time.monotonic() - begun, 1), "records": count}
        try:
            figures["local"] = measured(folder, "local", "local")
            figures["cluster"] = measured(folder, "cluster", cluster.address)
            once(folder / "actor", 4, kill_actor)
            once(folder / "actor", 12, kill_actor)
            figures["killed actors"] = measured(folder, "actor", cluster.address)
            figures["killed driver"] = killed_driver(folder, cluster.address)
            once(folder / "node", 4, lambda: cluster.remove_node(nodes[1], allow_graceful=False))
            figures["killed node"] = measured(folder, "node", cluster.address)
        finally:
            cluster.shutdown()
    print(json.dumps(figures, indent=1))
    runs = {name: each for name, each in figures.items() if isinstance(each, dict)}
    claims = {f"{name}: rows are those of the local run": each["same"] for name, each in runs.items()}
    claims |= {
        f"{name}: no more is done again than was in flight": each["again"] <= 3 for name, each in runs.items()
    }
    claims["killed actors: something was done again"] = runs["killed actors"]["again"] > 0
    made.write(figures, claims)


if __name__ == "__main__":
    main()
