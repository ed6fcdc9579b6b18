"""How fast plans are made, beside version 0.1 in one run: a whole process, and candidates per second.

    git worktree add --detach ../ullage-0.1 6ea47fa
    python3 -m venv ../ullage-0.1/.venv && ../ullage-0.1/.venv/bin/pip install ../ullage-0.1
    python benchmarks/plan_speed.py --before ../ullage-0.1/.venv/bin/python

Writes results/plan_speed.json and the table of docs/accuracy.md. Both versions should share their libraries'
versions. Byte code is kept, as it is once a package is installed.

Whole process: `ullage plan examples/werewolf.yaml` against a process that only imports typer, pydantic, yaml
and rich, in turn; the ratio is the median over the pairs.

Candidates: a candidate is one settled, billed, placed and timed variant, what `api.outcome` returns. They
are the steps of a walk: each differs from the last in one value of what advice changes (schedule, captures,
chunks, checkpointing, and per role batch, kernel, precision and offload; the prompt's length), none comes
twice, and none is one that is refused. Both versions walk the same steps, in blocks that alternate, each in
one process of its own; workloads are made before the clock of their block starts. `ratio` is the median of
the blocks' ratios, `first` that of the first block, when nothing is known yet. `processor` figures are of
processor time, which other work on the machine changes less.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import result_file

HERE: Final = Path(__file__).resolve().parent
ROOT: Final = HERE.parent
EXAMPLES: Final = ("assistant", "evaluate", "extract", "pii", "werewolf")
BLOCKS: Final = 8
PER_BLOCK: Final = {"assistant": 150}
PER_BLOCK_ELSE: Final = 1000
PAIRS: Final = 21
PROCESSES: Final = {
    "libraries": "import typer, pydantic, yaml, rich.console, rich.table",
    "libraries_unused": "import typer, pydantic, yaml, rich",
}
"""What is imported of a library differs: `pydantic` and `rich` load most of themselves when used."""
TARGETS: Final = {"whole_process": 1.6, "assistant": 12.0, "others": 2.0}


class Walker:
    """A process of one version's Python that makes workloads and settles them, block by block."""

    def __init__(self, python: Path, example: str, steps: Path) -> None:
        command = [str(python), str(HERE / "plan_speed_walk.py"), "go", str(ROOT / example), str(steps)]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)

    def block(self, first: int, last: int) -> tuple[float, float, float]:
        """Seconds that steps `first` to `last` took, by the clock and of the processor, and those that
        making their workloads took."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{first} {last}\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        return answer["seconds"], answer["processor"], answer["making"]

    def close(self) -> list[object]:
        """Ends the process; gives verdict and peak of its last block's candidates."""
        rest, _ = self._process.communicate("end\n")
        found: list[object] = json.loads(rest)
        return found


def candidates(name: str, before: Path, blocks: int) -> dict[str, object]:
    """Candidates per second of both versions on one example."""
    each = PER_BLOCK.get(name, PER_BLOCK_ELSE)
    example = f"examples/{name}.yaml"
    with tempfile.TemporaryDirectory() as folder:
        steps = Path(folder) / "steps.json"
        walk = [str(before), str(HERE / "plan_speed_walk.py"), "make", str(ROOT / example), str(steps)]
        subprocess.run([*walk, str(each * blocks)], check=True)
        one, other = Walker(before, example, steps), Walker(Path(sys.executable), example, steps)
        found: list[tuple[tuple[float, ...], tuple[float, ...]]] = []
        for number in range(blocks):
            ends = number * each, (number + 1) * each
            turns = (one, other) if number % 2 else (other, one)
            took = {walker: walker.block(*ends) for walker in turns}
            found.append((took[one], took[other]))
        same = one.close() == other.close()
    wall, processor, making = ([old[kind] / new[kind] for old, new in found] for kind in range(3))
    return {
        "candidates": each * blocks,
        "before_per_second": round(each / statistics.median(old[0] for old, _ in found), 1),
        "after_per_second": round(each / statistics.median(new[0] for _, new in found), 1),
        "before_per_processor_second": round(each / statistics.median(old[1] for old, _ in found), 1),
        "after_per_processor_second": round(each / statistics.median(new[1] for _, new in found), 1),
        "ratio": round(statistics.median(wall), 2),
        "first": round(wall[0], 2),
        "least": round(min(wall), 2),
        "processor_ratio": round(statistics.median(processor), 2),
        "making_ratio": round(statistics.median(making), 2),
        "last_block_same_outcomes": same,
    }


def process_seconds(command: Sequence[str]) -> tuple[float, float]:
    """By the clock, and of the processor."""
    before, start = processor_seconds(), time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True, cwd=ROOT)
    return time.perf_counter() - start, processor_seconds() - before


def processor_seconds() -> float:
    """That ended child processes took."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def whole_process(before: Path, pairs: int) -> dict[str, object]:
    """`ullage plan` of both versions and the libraries alone, in turn."""
    plan = ("plan", "examples/werewolf.yaml")
    commands = {
        "before": [str(before.parent / "ullage"), *plan],
        "after": [str(Path(sys.executable).parent / "ullage"), *plan],
    } | {name: [sys.executable, "-c", code] for name, code in PROCESSES.items()}
    for command in commands.values():
        process_seconds(command)
    rounds = [{name: process_seconds(command) for name, command in commands.items()} for _ in range(pairs)]
    found: dict[str, object] = {"pairs": pairs}
    for name in commands:
        found[f"{name}_milliseconds"] = round(statistics.median(one[name][0] for one in rounds) * 1000)
    for version in ("before", "after"):
        for libraries in PROCESSES:
            for kind, label in enumerate(("", "_processor")):
                ratio = statistics.median(one[version][kind] / one[libraries][kind] for one in rounds)
                found[f"{version}_to_{libraries}{label}"] = round(ratio, 2)
    return found


def versions(python: Path) -> dict[str, str]:
    code = (
        "import json, sys; from importlib.metadata import version; "
        "names = ('ullage', 'typer', 'pydantic', 'pyyaml', 'rich'); "
        "print(json.dumps({'python': sys.version.split()[0]} | {name: version(name) for name in names}))"
    )
    found: dict[str, str] = json.loads(subprocess.check_output([str(python), "-c", code], text=True))
    where = subprocess.check_output([str(python), "-c", "import ullage; print(ullage.__file__)"], text=True)
    return found | {"commit": commit(Path(where.strip()).parent)}


def commit(folder: Path) -> str:
    """The commit of the sources in `folder`; "" where they are installed from elsewhere."""
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=7"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def met(document: dict[str, dict[str, dict[str, float]]]) -> dict[str, bool]:
    """Which targets are reached, as claims."""
    found = {"whole_process": document["whole_process"]["after_to_libraries"] <= TARGETS["whole_process"]}  # type: ignore[operator]
    for name, row in document["candidates"].items():
        found[name] = row["ratio"] >= TARGETS.get(name, TARGETS["others"])
    return {f"{name} reaches its target": reached for name, reached in found.items()}


START, END = "<!-- made by benchmarks/plan_speed.py -->", "<!-- end of speed -->"


def write_docs(document: dict) -> None:
    """Rewrites the table between the markers of docs/accuracy.md."""
    process = document["whole_process"]
    lines = ["| what | version 0.1 | now | times as fast | target |", "|---|---|---|---|---|"]
    before, after = process["before_milliseconds"], process["after_milliseconds"]
    lines.append(
        f"| `ullage plan examples/werewolf.yaml`, whole process | {before} ms | {after} ms | "
        f"{before / after:.2f} | |"
    )
    lines.append(
        f"| the same, over the libraries alone ({process['libraries_milliseconds']} ms) | "
        f"{process['before_to_libraries']} | {process['after_to_libraries']} | | {TARGETS['whole_process']} |"
    )
    for name, row in document["candidates"].items():
        lines.append(
            f"| candidates a second, `examples/{name}.yaml` | {row['before_per_second']:,.0f} | "
            f"{row['after_per_second']:,.0f} | {row['ratio']} | {TARGETS.get(name, TARGETS['others'])} |"
        )
    page = ROOT / "docs/accuracy.md"
    first, rest = page.read_text().split(START, 1)
    page.write_text(first + START + "\n\n" + "\n".join(lines) + "\n\n" + END + rest.split(END, 1)[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--before", type=Path, required=True, metavar="PYTHON", help="version 0.1's")
    parser.add_argument("--only", choices=("process", *EXAMPLES), action="append")
    parser.add_argument("--blocks", type=int, default=BLOCKS)
    parser.add_argument("--pairs", type=int, default=PAIRS)
    options = parser.parse_args()
    wanted = options.only or ("process", *EXAMPLES)
    made = result_file.start("plan_speed")
    with tempfile.TemporaryDirectory() as home:
        os.environ |= {"ULLAGE_HOME": home, "HF_HUB_OFFLINE": "1", "PYTHONPYCACHEPREFIX": f"{home}/bytecode"}
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        before = options.before.absolute()
        document: dict = {
            "load_before": round(os.getloadavg()[0], 1),
            "before": versions(before),
            "after": versions(Path(sys.executable)),
            "targets": TARGETS,
        }
        if "process" in wanted:
            document["whole_process"] = whole_process(before, options.pairs)
            print(json.dumps(document["whole_process"], indent=1), flush=True)
        document["candidates"] = {}
        for name in EXAMPLES:
            if name in wanted:
                document["candidates"][name] = candidates(name, before, options.blocks)
                print(name, json.dumps(document["candidates"][name]), flush=True)
    if options.only:
        return
    write_docs(document)
    made.write(document, met(document))


if __name__ == "__main__":
    main()
