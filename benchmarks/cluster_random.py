"""Runs on 20 random small Ray clusters on this machine: 1 to 4 nodes, of whose processors other work
takes whole ones and parts, for a while or for good. All of them finish or are refused, none hangs. Needs
`ray`. Writes results/cluster_random.json.
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
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import result_file
from cluster_made import STORE, candidates, script, verifying

import ullage
from ullage.errors import InputError
from ullage.scale.fleet import StalledError
from ullage.scale.share import Share

ROWS: Final = ("verified.jsonl", "failed.jsonl", "rejects.jsonl")
SIZES: Final = (1, 1, 1, 2, 2, 3)
"""Logical processors of a node: Ray has whole ones there, and gives out parts of them."""
TAKEN: Final = (0.25, 0.5, 0.75, 1, 1.5)
"""Of them what other work takes."""
PATIENCE: Final = 40
"""Seconds: an actor's process takes 10 to 20 to begin on two busy processors."""
BOUND: Final = 60
"""Seconds beside its patience in which a run has to end, however it does."""
STARTS: Final = 3
RECORDS, PARTITION = 40, 10
OTHERS: Final = """
import json, sys, time
import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy as On
ray.init(address=sys.argv[1], log_to_driver=False, configure_logging=False)

@ray.remote
class Held:
    def ready(self):
        return True

held = []
for line in sys.stdin:
    for each in held:
        ray.kill(each[0])
    held = []
    for node, cpus in json.loads(line):
        held.append((Held.options(num_cpus=cpus, scheduling_strategy=On(node, soft=False)).remote(),))
    ray.get([each[0].ready.remote() for each in held])
    print(len(held), flush=True)
"""
PART_OF_A_CARD: Final = """
import json, sys
import ray
ray.init(address=sys.argv[1], log_to_driver=False, configure_logging=False)

@ray.remote
class Held:
    def cards(self):
        return ray.get_gpu_ids()

actors = [Held.options(num_cpus=0, num_gpus=float(sys.argv[2])).remote() for _ in range(int(sys.argv[3]))]
asked = [each.cards.remote() for each in actors]
ready, waiting = ray.wait(asked, num_returns=len(asked) - 1, timeout=60)
later, _ = ray.wait(waiting, timeout=5)
print(json.dumps([ray.get(ready + later), len(waiting) - len(later)]))
"""


@dataclass(frozen=True, slots=True)
class Drawn:
    """A cluster, and work for it: processors of each node, what others take of it, whether they go after
    `seconds`, and the threads of an actor."""

    nodes: tuple[int, ...]
    taken: tuple[float, ...]
    seconds: float | None
    threads: int

    @property
    def ends(self) -> str:
        """How a run on it has to end: none of this is Ullage's own reckoning."""
        if all(size < self.threads for size in self.nodes):
            return "refused"
        free = [size - taken for size, taken in zip(self.nodes, self.taken, strict=True)]
        if self.seconds is None and all(size < self.threads for size in free):
            return "stalled"
        return "finished"


def drawn(chance: random.Random) -> Drawn:
    """A random one."""
    nodes = tuple(chance.choice(SIZES) for _ in range(chance.randint(1, 4)))
    fitting = ([0.0, *(part for part in TAKEN if part <= size)] for size in nodes)
    taken = tuple(chance.choice(parts) for parts in fitting)
    return Drawn(nodes, taken, chance.choice((None, None, 5.0)), chance.choice((1, 1, 2, 3)))


class Others:
    """Work of somebody else on the cluster: a driver of its own, whose actors hold processors."""

    def __init__(self, address: str) -> None:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        self._driver = subprocess.Popen([sys.executable, "-c", OTHERS, address], text=True, **pipes)

    def hold(self, parts: Sequence[tuple[str, float]]) -> None:
        """So many processors of these nodes, and nothing else, from now on."""
        assert self._driver.stdin is not None
        assert self._driver.stdout is not None
        self._driver.stdin.write(json.dumps(parts) + "\n")
        self._driver.stdin.flush()
        assert int(self._driver.stdout.readline()) == len(parts)

    def close(self) -> None:
        """Ends it."""
        assert self._driver.stdin is not None
        self._driver.stdin.close()
        self._driver.wait(30)


@contextmanager
def later(others: Others, seconds: float | None) -> Iterator[None]:
    """They let go of all after so many seconds, or when the run is over."""
    import threading

    over = threading.Event()

    def let_go() -> None:
        over.wait(seconds)
        others.hold(())

    thread = threading.Thread(target=let_go, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


class Nodes:
    """The nodes of one living cluster, beside a head without processors. Those that the next draw has too
    stay."""

    def __init__(self, cluster: Any) -> None:
        self._cluster = cluster
        self._here: list[tuple[int, Any]] = []

    def become(self, sizes: Sequence[int]) -> list[str]:
        """Ray's names of nodes of these sizes, in order."""
        keep = Counter(sizes)
        for size, node in list(self._here):
            if keep[size]:
                keep[size] -= 1
            else:
                self._cluster.remove_node(node)
                self._here.remove((size, node))
        for size in keep.elements():
            self._here.append((size, added(self._cluster, size)))
        left = list(self._here)
        found = []
        for size in sizes:
            each = next(each for each in left if each[0] == size)
            left.remove(each)
            found.append(each[1].node_id)
        return found


def added(cluster: Any, size: int) -> Any:
    """A node more. Ray gives one half a minute to start, which a busy machine may not."""
    for _ in range(STARTS - 1):
        with suppress(Exception):  # Ray raises no other
            return cluster.add_node(num_cpus=size, object_store_memory=STORE)
    return cluster.add_node(num_cpus=size, object_store_memory=STORE)


def tried(drew: Drawn, folder: Path, name: str, on: str) -> tuple[str, str]:
    """How a run ends, and what it says."""
    work = verifying(2, PARTITION)
    work["partition"] |= {"threads": drew.threads, "patience": PATIENCE}
    try:
        ullage.run(ullage.load(work), folder / name, base=folder, on=on)
    except StalledError as error:
        return "stalled", str(error)
    except InputError as error:
        return "refused", str(error)
    return "finished", ""


def one(drew: Drawn, folder: Path, name: str, nodes: Nodes, others: Others, on: str) -> dict[str, Any]:
    """One cluster's figures."""
    ids = nodes.become(drew.nodes)
    others.hold([(node, part) for node, part in zip(ids, drew.taken, strict=True) if part])
    begun = time.monotonic()
    with later(others, drew.seconds):
        ended, said = tried(drew, folder, name, on)
    found: dict[str, Any] = {
        "nodes": drew.nodes,
        "taken": drew.taken,
        "for": "good" if drew.seconds is None else f"{drew.seconds:g} s",
        "threads": drew.threads,
        "ended": ended,
        "as it has to": ended == drew.ends,
        "seconds": round(time.monotonic() - begun, 1),
    }
    if ended == "finished":
        found["same"] = all(
            (folder / name / row).read_bytes() == (folder / "local" / row).read_bytes() for row in ROWS
        )
    else:
        found["said"] = said
    return found


def parts_of_cards(cluster: Any, sharing: int) -> dict[str, Any]:
    """Where Ray puts actors that ask for a part of a card: one more than two cards hold."""
    node = cluster.add_node(num_cpus=1, num_gpus=2, object_store_memory=STORE)
    share = Share(1, 1, 0, sharing)
    asked = [str(share.ray_gpus), str(2 * sharing + 1)]
    command = [sys.executable, "-c", PART_OF_A_CARD, cluster.address, *asked]
    placed, waiting = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    cluster.remove_node(node)
    return {
        "sharing": sharing,
        "on each card": sorted(Counter(map(str, placed)).values()),
        "waiting": waiting,
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--clusters", type=int, default=20)
    parser.add_argument("--seed", type=int, default=28)
    given = parser.parse_args()
    made, begun = result_file.start("cluster_random"), time.monotonic()
    from ray.cluster_utils import Cluster

    chance = random.Random(given.seed)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        os.environ["ULLAGE_HOME"] = f"{folder}/home"
        candidates(folder / "records.jsonl", RECORDS)
        script(folder / "script.jsonl")
        ullage.run(ullage.load(verifying(2, PARTITION)), folder / "local", base=folder)
        head = {"num_cpus": 0, "object_store_memory": STORE, "include_dashboard": False}
        cluster = Cluster(initialize_head=True, head_node_args=head)
        try:
            cards = [parts_of_cards(cluster, sharing) for sharing in (2, 3)]
            nodes, runs = Nodes(cluster), []
            with closing(Others(cluster.address)) as others:
                for number in range(given.clusters):
                    runs.append(one(drawn(chance), folder, f"run-{number}", nodes, others, cluster.address))
                    print(json.dumps(runs[-1]), flush=True)
        finally:
            cluster.shutdown()
    seconds = round(time.monotonic() - begun, 1)
    made.write(
        {
            "seed": given.seed,
            "seconds": seconds,
            "ended": Counter(r["ended"] for r in runs),
            "cards": cards,
            "clusters": runs,
        },
        {
            "every run finishes or is refused as its cluster says": all(run["as it has to"] for run in runs),
            "none takes longer than its patience and a minute": all(
                run["seconds"] <= PATIENCE + BOUND for run in runs
            ),
            "rows of those that finish are the local run's": all(run.get("same", True) for run in runs),
            "so many actors as share a card are on each, and one more waits": all(
                each["on each card"] == [each["sharing"]] * 2 and each["waiting"] == 1 for each in cards
            ),
        },
    )


if __name__ == "__main__":
    main()
