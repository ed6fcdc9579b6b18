"""Bits flipped at random places of finished and unfinished runs of every kind.

    python benchmarks/flipped_bits.py [--flips 200]      # writes results/flipped_bits.json

Of each run and state so many copies are made, in each of which one bit of one file is another: the file is
drawn first, so that small ones are hit as often as large ones. Then the copy is used as its user would: a
finished run is verified and (by kind) judged, opened or compared, an unfinished one is resumed. A flip is
found where that ends with an error of Ullage's, and harmless where it does not and every result is what it is
of the run that was left alone; in a finished run only the mark of who writes is read by nobody. Every tenth
that was found is repaired (`ullage check --repair`) and resumed: its results must be the same, too.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")
warnings.filterwarnings("ignore")

import result_file

import ullage
from ullage.errors import FormatError, UllageError

REPAIRED = 10
"""Of the flips that were found, one in so many is repaired."""
MEASURED = ("record.json", "manifest.json", "journal.jsonl", "log.jsonl", "timeline.jsonl", ".lock")
"""Files with times, or named otherwise from run to run."""
PAGES = ("report.html", "summary.json")
"""Pages with times."""


@dataclass(frozen=True)
class Case:
    """A workload, and what its user does with a finished run of it."""

    name: str
    workload: dict[str, Any]
    use: Callable[[Path], object]


def cases(questions: int = 6) -> list[Case]:
    """One of every kind, and of every way to store."""
    tiny = {"model": "ullage:tiny", "batch": 2, "precision": "fp32"}
    shared = {"budget": {"gpus": "cpu"}, "prompt_tokens": 160, "new_tokens": 6, "examples": questions}
    captured = [{"sites": ["blocks.1.hook_resid_post"], "positions": "last", "keep": "disk"}]

    def extract(name: str, **section: object) -> Case:
        body = {"kind": "extract", "roles": {"model": tiny}, "captures": captured, **shared}
        return Case(name, {**body, "extract": {"input": "questions.jsonl", **section}}, states_of)

    evaluate = {
        "kind": "evaluate",
        "roles": {"generator": tiny, "judge": tiny},
        "captures": [{**captured[0], "role": "generator"}],
        **shared,
        "evaluate": {"input": "questions.jsonl", "fields": {"references": "truth"}, "samples": 1},
    }
    pii = {"kind": "pii", "roles": {"verifier": tiny}, **shared, "pii": {"input": "records.jsonl"}}
    return [
        extract("extract", text_field="question", shard="1MiB"),
        extract("extract, npy", text_field="question", store="npy"),
        Case("evaluate", evaluate, judged),
        Case("pii", pii, lambda folder: ullage.compare_pii([folder])),
    ]


def states_of(folder: Path) -> dict[str, bytes]:
    """Everything that is stored, as whoever opens it sees it."""
    store = ullage.open_states(folder)
    kept = {site: store.matrix(site).numpy().tobytes() for site in store.sites}
    return {**kept, "rows": json.dumps(list(store.rows)).encode()}


def judged(folder: Path) -> None:
    """Judged again by the same judge, in a folder that is not kept."""
    with tempfile.TemporaryDirectory() as name:
        ullage.judge(folder, Path(name) / "again", base=folder.parent / "..")
    states_of(folder)


def results(folder: Path) -> dict[str, bytes]:
    """Everything a run stores but times."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name not in MEASURED + PAGES:
            found[path.relative_to(folder).as_posix()] = path.read_bytes()
    return found


def everything(folder: Path) -> dict[str, bytes]:
    """Every file as it is."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def make(case: Case, folder: Path) -> tuple[Path, Path]:
    """A finished run of the case, and what a kill at half its journal leaves of it."""
    whole = folder / "runs" / case.name.replace(", ", "-")
    ullage.run(ullage.load(case.workload), whole, base=folder)
    half = whole.with_name(whole.name + "-half")
    shutil.copytree(whole, half)
    (half / "record.json").unlink()
    for name in ("report.html", "summary.json", "scores.json", "results.parquet"):
        (half / name).unlink(missing_ok=True)
    for name in ("index.json", "examples.parquet"):
        (half / "states" / name).unlink(missing_ok=True)
    journal = half / "journal.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[: max(len(lines) // 2, 1)]))
    return whole, half


def flip(folder: Path, chance: random.Random) -> str:
    """Flips one bit of one file; its name."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.stat().st_size]
    path = chance.choice(files)
    data = bytearray(path.read_bytes())
    place = chance.randrange(len(data) * 8)
    data[place // 8] ^= 1 << place % 8
    path.write_bytes(data)
    return path.relative_to(folder).as_posix()


def used(case: Case, folder: Path, finished: bool) -> None:
    """What its user does with it. Raises UllageError."""
    if finished:
        ullage.verify(folder)
        case.use(folder)
    else:
        ullage.resume(folder)


def attack(case: Case, whole: Path, left: Path, finished: bool, flips: int) -> dict[str, Any]:
    """How many flips were found, harmless and silent, and what became of those that were repaired."""
    wanted, chance = results(whole), random.Random(f"{case.name} {finished}")
    counts, by_file, harmless = Counter[str](), Counter[str](), Counter[str]()
    silent, lost = [], []
    for _ in range(flips):
        copy = left.with_name("copy")
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(left, copy)
        name = flip(copy, chance)
        before = everything(copy)
        try:
            used(case, copy, finished)
        except UllageError as error:
            assert "\n" not in str(error), error
            counts["found"] += 1
            by_file[name.rpartition("/")[2]] += 1
            if counts["found"] % REPAIRED == 0:
                outcome = repaired(copy, wanted)
                counts[outcome] += 1
                lost += [name] if outcome == "repaired, but other results" else []
            continue
        # Nobody writes in a finished run: what is flipped in it stays, wherever that is.
        same = name == ".lock" and everything(copy) == before if finished else results(copy) == wanted
        counts["harmless" if same else "silent"] += 1
        harmless[name.rpartition("/")[2]] += same
        silent += [] if same else [name]
    shutil.rmtree(left.with_name("copy"), ignore_errors=True)
    told = {"found_in": dict(by_file), "harmless_in": {name: n for name, n in harmless.items() if n}}
    return {**counts, "silent_in": silent, "lost_in": lost, **told}


def repaired(folder: Path, wanted: dict[str, bytes]) -> str:
    """What comes of keeping what is whole, and doing the rest again."""
    try:
        ullage.check_run(folder, repair=True)
    except FormatError:
        return "not to be repaired"  # its manifest
    ullage.resume(folder)
    assert not ullage.check_run(folder).damaged
    return "repaired" if results(folder) == wanted else "repaired, but other results"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--flips", type=int, default=200)
    chosen = parser.parse_args()
    made = result_file.start("flipped_bits")
    figures: dict[str, Any] = {"flips_of_each": chosen.flips}
    with tempfile.TemporaryDirectory() as name:
        os.environ["ULLAGE_HOME"] = name
        folder = Path(name) / "work"
        folder.mkdir()
        inputs(folder)
        for case in cases():
            whole, half = make(case, folder)
            figures[case.name] = {
                "finished": attack(case, whole, whole, True, chosen.flips),
                "unfinished": attack(case, whole, half, False, chosen.flips),
            }
            print(case.name, figures[case.name], flush=True)
    states = [state for found in figures.values() if isinstance(found, dict) for state in found.values()]
    claims = {
        "every flipped bit is found or changes no result": not any(state["silent_in"] for state in states),
        "what was repaired and resumed gives the bytes of a run left alone": not any(
            state["lost_in"] for state in states
        ),
    }
    made.write(figures, claims)


def inputs(folder: Path, count: int = 6) -> None:
    """What the cases read."""
    ullage.sample("answer", folder / "questions.jsonl", count=count)
    ullage.sample("verify", folder / "records.jsonl", count=4 * count)


if __name__ == "__main__":
    main()
