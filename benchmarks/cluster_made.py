"""What the measurements of clusters share: a Ray cluster on this machine, work for it, how fast it goes."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

os.environ |= {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_enable_metrics_collection": "0",
    "OMP_NUM_THREADS": "1",
    "RAY_worker_niceness": "0",
}

import ullage
from ullage.records.parts import Parts

STORE: Final = 100 * 2**20
"""Bytes of a node's object store: nothing of Ullage lies there."""
LOOK_SECONDS: Final = 0.05


@contextmanager
def ray_cluster(cpus: Sequence[int]) -> Iterator[Any]:
    """A cluster with a node of each number of logical processors, and as many logical GPUs; the first is its
    head."""
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args=node_of(cpus[0]) | {"include_dashboard": False})
    try:
        for count in cpus[1:]:
            cluster.add_node(**node_of(count))
        yield cluster
    finally:
        cluster.shutdown()


def node_of(cpus: int) -> dict[str, Any]:
    """What a node of so many processors is started with; its GPUs are logical."""
    return {"num_cpus": cpus, "num_gpus": cpus, "object_store_memory": STORE}


def candidates(path: Path, count: int) -> None:
    """Records with one candidate each: a third real, a third not, a third that nobody answers for."""
    words = ("real", "fake", "mute")
    with path.open("w") as file:
        for number in range(count):
            name = f"{words[number % 3]}-{number}"
            found = {"type": "phone", "start": 5, "end": 5 + len(name)}
            file.write(json.dumps({"id": number, "text": f"Call {name} now", "candidates": [found]}) + "\n")


def script(path: Path, seconds: float = 0.0) -> None:
    """What a scripted verifier says of them, in so many seconds a batch."""
    never = float("-inf")
    lines = [
        {"contains": "[[mute", "scores": {"yes": never, "no": never}},
        {"contains": "[[real", "scores": {"yes": -0.1, "no": -3.0}},
        {"contains": "", "scores": {"yes": -3.0, "no": -0.1}},
    ]
    path.write_text("".join(json.dumps({**line, "seconds": seconds}) + "\n" for line in lines))


def verifying(batch: int, partition: int, model: str = "script.jsonl") -> dict[str, Any]:
    """The workload of it: a script, or a model on a simulated card."""
    scripted = model.endswith(".jsonl")
    role = {"model": model, "batch": batch, **({"engine": "scripted"} if scripted else {})}
    return {
        "kind": "pii",
        "roles": {"verifier": role},
        **({"budget": {"gpus": "cpu"}} if scripted else on_a_card()),
        "prompt_tokens": 64,
        "new_tokens": 8,
        "pii": {"input": "records.jsonl"},
        "partition": {"records": partition, "patience": 120},
    }


def on_a_card() -> dict[str, Any]:
    """One card that is simulated: a processor computes, and what lies on the card is counted."""
    return {"budget": {"gpus": "1x sim"}, "cards": {"sim": {"memory": "8GiB", "maker": "cpu"}}}


@dataclass(slots=True)
class Watch:
    """When how many partitions of a run were kept, seen from outside while it runs."""

    run: Path
    begun: float = field(default_factory=time.monotonic)
    seen: list[tuple[float, int]] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def look(self) -> None:
        """Until it is over."""
        parts = Parts(self.run)
        while not self.over.wait(LOOK_SECONDS):
            kept = parts.kept
            if kept and (not self.seen or kept > self.seen[-1][1]):
                self.seen.append((time.monotonic() - self.begun, kept))

    def steady(self, actors: int) -> tuple[float, float]:
        """Partitions a second from when as many are kept as there are actors until as many are left, and the
        seconds before."""
        last = self.seen[-1][1]
        begun, first = next(each for each in self.seen if each[1] >= actors)
        ended, final = next(each for each in self.seen if each[1] >= last - actors)
        return (final - first) / (ended - begun), begun


@dataclass(frozen=True, slots=True)
class Ran:
    """One run: records a second in the steady state, seconds before it and in all, its record."""

    rate: float
    before: float
    seconds: float
    record: Any


def watched(work: dict[str, Any], folder: Path, name: str, on: str, actors: int) -> Ran:
    """A run to its end, watched."""
    watch = Watch(folder / name)
    looking = threading.Thread(target=watch.look, daemon=True)
    looking.start()
    begun = time.monotonic()
    _, record = ullage.run(ullage.load(work), folder / name, base=folder, on=on)
    seconds = time.monotonic() - begun
    watch.over.set()
    looking.join()
    rate, before = watch.steady(actors)
    return Ran(rate * work["partition"]["records"], before, seconds, record)
