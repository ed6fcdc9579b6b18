"""What the driver of a run on a cluster holds of 10^7 partitions: their index is written and gone through,
every one is asked for, given, and taken back now and then. Writes results/cluster_driver.json.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import psutil
import result_file

from ullage.records.parts import Part, Parts
from ullage.scale.waiting import Waiting

MOST: Final = 2**30
BACK: Final = 1000
"""One of so many comes back once."""


def made(count: int) -> Iterator[Part]:
    """Partitions of a thousand records and 16 MiB."""
    size = 16 * 2**20
    for number in range(count):
        yield Part(number, number * size, (number + 1) * size, number * 1000, number * 1000, 1000, 1000)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--partitions", type=int, default=10**7)
    count = parser.parse_args().partitions
    result, process = result_file.start("cluster_driver"), psutil.Process()
    with tempfile.TemporaryDirectory() as name:
        parts, begun = Parts(Path(name)), time.monotonic()
        before = process.memory_info().rss
        parts.cut(made(count))
        cut = time.monotonic() - begun
        held = [process.memory_info().rss - before]
        waiting, taken, back, last = Waiting(parts.left()), 0, 0, -1
        while (task := waiting.take()) is not None:
            taken += 1
            if task.number % BACK == 0 and task.number != last:
                waiting.add(task)
                back, last = back + 1, task.number
            if taken % 10**6 == 0:
                held.append(process.memory_info().rss - before)
        figures = {
            "partitions": count,
            "index_bytes": (parts.path / "index.jsonl").stat().st_size,
            "cut_seconds": round(cut, 1),
            "taken": taken,
            "back": back,
            "seconds": round(time.monotonic() - begun, 1),
            "held_bytes": held,
        }
    print(json.dumps(figures, indent=1))
    claims = {
        "the driver holds at most 1 GiB for them": max(held) <= MOST,
        "each was asked for, and those that came back again": taken == count + back,
    }
    result.write(figures, claims)


if __name__ == "__main__":
    main()
