"""Small workloads of every kind that runs, varied at random: is all that the plan bills done, and no more?

    python benchmarks/planned_is_done.py [--count 10] [--seed 0]      # writes results/planned_is_done.json

Each kind has a file in small_workloads/; a kind without one fails. Varied are batch, chunks, schedule and how
states are captured. Held against the record of the run: every planned phase was entered and no other; nothing
alive exceeds its high value; weights are what was billed; each captured role left the states that were
billed, byte for byte where positions are reduced, at most so many and not none where they are not.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import tempfile
from collections.abc import Iterator
from math import prod
from pathlib import Path

import result_file

import ullage
from ullage.errors import UllageError
from ullage.workloads.registry import find_kind, kind_names

HERE = Path(__file__).resolve().parent / "small_workloads"
EXAMPLES = 6
AS_ASKED = ("assistant",)
"""Kinds whose requests decide which phases a run enters, beside whom."""
BITS = {"float32": 32, "bfloat16": 16, "float16": 16}


def runnable() -> list[str]:
    """Every kind that can be run, and does all that it plans."""
    return [name for name in kind_names() if find_kind(name).runner and name not in AS_ASKED]


def varied(chance: random.Random) -> list[str]:
    """Overrides that any kind takes."""
    found = [
        f"batch={chance.randint(1, 4)}",
        f"captures.0.positions={chance.choice(['last', 'mean', 'all'])}",
    ]
    if chance.random() < 0.4:
        found.append(f"memory.streaming_chunk_size={chance.choice([8, 64])}")
    found.append(f"schedule={chance.choice(['auto', 'sequential', 'persistent'])}")
    found.append(f"captures.0.precision={chance.choice(['compute', 'fp16'])}")
    found.append(f"captures.0.keep={chance.choice(['host', 'disk', 'device'])}")
    return found


def run(kind: str, overrides: list[str], folder: Path) -> Path:
    """A run of the kind's small workload; its folder. Inputs are samples of the tasks they are named for."""
    workload = ullage.load(HERE / f"{kind}.yaml", overrides)
    assert workload.section is not None
    for name in workload.section.files():
        ullage.sample(Path(name).stem, folder / name, count=EXAMPLES)
    ullage.run(workload, folder / "run", base=folder)
    return folder / "run"


def broken(folder: Path) -> Iterator[str]:
    """What a finished run's plan bills and the run did not do, or the other way round."""
    plan = json.loads((folder / "manifest.json").read_text())["plan"]
    record = json.loads((folder / "record.json").read_text())
    planned = [phase["name"] for phase in plan["devices"][0]["phases"]]
    entered = {each["phase"] for each in record["measured"]}
    yield from (f"{name}: planned, never entered" for name in planned if name not in entered)
    yield from (f"{name}: entered, not planned" for name in entered if name not in planned)
    for each in ullage.verify(folder).comparisons:
        if each.what == "live" and each.verdict == "above":
            yield f"{each.phase}: {each.measured} bytes alive, {each.predicted.high} planned at most"
        if each.what == "weights" and each.error:
            yield f"{each.phase}: {each.measured} bytes of weights, {each.predicted.expected} planned"
        if each.what == "captures" and each.verdict == "above":
            yield f"{each.phase}: {each.measured} bytes captured, {each.predicted.high} planned at most"
    yield from _billed(plan, record)
    yield from _stored(plan, folder)


def _billed(plan: dict, record: dict) -> Iterator[str]:
    """Every component but the allocator's own belongs to a role that did something in that phase."""
    entered = {each["phase"] for each in record["measured"]}
    for item in plan["items"]:
        if item["role"] and item["phase"] not in entered:
            yield f"{item['phase']}: {item['component']} of {item['role']} billed, and nothing done"


def _stored(plan: dict, folder: Path) -> Iterator[str]:
    """States on disk, role by role, beside the disk that was billed for them."""
    billed: dict[str, dict[str, int]] = {}
    for item in plan["items"]:
        if (item["component"], item["device"]) == ("captures", "disk"):
            by_phase = billed.setdefault(item["role"], {})
            by_phase[item["phase"]] = by_phase.get(item["phase"], 0) + item["bytes"]["high"]
    captured = {item["role"] for item in plan["items"] if item["component"] == "captures"}
    store = ullage.open_states(folder) if (folder / "states").is_dir() else None
    kept = {} if store is None else {role: store.of(role) for role in store.roles}
    yield from (f"{role}: captures billed, no states" for role in captured if role not in kept)
    yield from (f"{role}: states, and none billed" for role in kept if role not in captured)
    for role, own in kept.items():
        size = sum(
            prod(place["shape"]) * BITS[own.sites[place["site"]]["dtype"]] // 8
            for row in own.rows
            for place in row["states"]
        )
        # What a reply's reading and writing bill is the same states, growing.
        whole = max(billed.get(role, {"": 0}).values())
        reduced = all(place["shape"][0] == 1 for row in own.rows for place in row["states"])
        if size > whole or not size or (reduced and size != whole):
            yield f"{role}: {size} bytes of states stored, {whole} billed"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--count", type=int, default=10, help="workloads of each kind")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    made, chance = result_file.start("planned_is_done"), random.Random(options.seed)
    wrong: dict[str, list[str]] = {}
    for kind in runnable():
        for _ in range(options.count):
            overrides = varied(chance)
            with tempfile.TemporaryDirectory() as name:
                os.environ["ULLAGE_HOME"] = f"{name}/home"
                try:
                    found = list(broken(run(kind, overrides, Path(name))))
                except UllageError as error:
                    found = [f"{type(error).__name__}: {error}"]
            print(kind, *overrides, *(found or ["done as planned"]), sep="\n    ", flush=True)
            if found:
                wrong[" ".join([kind, *overrides])] = found
    figures = {"kinds": runnable(), "runs": options.count * len(runnable()), "broken": wrong}
    made.write(figures, {"all that is billed is done, and nothing else": not wrong})


if __name__ == "__main__":
    main()
