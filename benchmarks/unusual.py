"""Machines, signals, files and texts that are merely unusual, for every kind that runs and for plans.

    python benchmarks/unusual.py [--only WORD]

Writes benchmarks/results/unusual.json: one row a situation, with what was expected and what was found. No
situation may give an internal error or a traceback, lose output, or change results without a word; nothing
takes more than two minutes or 2 GiB.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import result_file
import unusual_files
import unusual_machines
import unusual_texts
from unusual_runs import Runner, last_line
from unusual_stage import Situation, Stage


def situations() -> list[Situation]:
    return [*unusual_machines.situations(), *unusual_texts.situations(), *unusual_files.situations()]


def play(some: Iterable[Situation], tell: bool = False) -> list[dict[str, Any]]:
    """One row a situation."""
    rows = []
    runner = Runner()
    try:
        for number, one in enumerate(some):
            with tempfile.TemporaryDirectory(prefix="unusual-") as name:
                place = Path(name) / "here"
                place.mkdir()
                os.chmod(name, 0o755)
                os.environ["ULLAGE_HOME"] = f"{name}/home"
                rows.append(row(one, Stage(place, runner)))
            if tell:
                print(
                    f"{number:3} {'  ' if rows[-1]['holds'] else 'NO'} {rows[-1]}",
                    file=sys.stderr,
                    flush=True,
                )
    finally:
        runner.close()
    return rows


def row(one: Situation, stage: Stage) -> dict[str, Any]:
    """What was expected of a situation and what was found."""
    seen, more = one.attempt(stage)
    wrong = seen.wrong(one.codes) or more
    found = wrong or f"exit code {seen.code}" + (f": {last_line(seen.err)[:200]}" if seen.err.strip() else "")
    found = found.replace(str(stage.folder), "FOLDER").replace(str(stage.folder.parent), "PLACE")
    return {
        "situation": one.name,
        "kind": one.kind,
        "expected": one.expected,
        "found": found,
        "holds": not wrong,
        "seconds": round(seen.seconds, 1),
        "mebibytes": seen.bytes >> 20,
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument(
        "--only", default="", help="situations with this in their name or kind; writes nothing"
    )
    chosen = parser.parse_args()
    made = result_file.start("unusual")
    picked = [one for one in situations() if chosen.only in f"{one.kind}: {one.name}"]
    rows = play(picked, tell=True)
    held = sum(each["holds"] for each in rows)
    if chosen.only:
        sys.exit(f"{held} of {len(rows)} as expected")
    made.write(
        {"situations": len(rows), "as_expected": held, "rows": rows},
        {"every situation is as expected": held == len(rows), "there are at least 60": len(rows) >= 60},
    )


if __name__ == "__main__":
    main()
