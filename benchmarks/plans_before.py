"""Whether plans are what they were before of the same workloads: 300 random ones and the examples.

    python benchmarks/plans_before.py --against benchmarks/results/plans_measured.jsonl.gz
    OTHER_PYTHON benchmarks/plans_before.py --write FILE

The first writes results/plans_before.json too. The reference is of the commit from which recurrences are
replayed as transformers runs them without their kernels and open flows are said to be open. To the one
before it, of the commit from which flows follow each family's own code (experts, compressed latents, plain
attention, rotation), some 60 of 307 differ: models with recurrences (what is said of kernels that are not
installed too), a sparse indexer, Falcon's, nf4 beside stacked experts, and two captures of one site that
are refused. To the one before that about 55 of 307 differ, pictures apart. That was of the commit from
which pii reads a text once for all its candidates. To the one before it 66 of 307 differ: 45 of pii, and 21
in the one sentence about the share of a card that vLLM takes where its work does not fit. That was of the
commit from which the last token that is written is not planned for (its keys and states are never stored).
To the one before it, of the commit at which plans refuse what transformers and vLLM refuse (0113c08), 174
of 307 differ, by at most 0.8 % of a peak. To the one before that, of the commit at which plans were first
held against a card (1564d05), 31 of 307 differ: 12 are refused, 5 offload no quantized weights, 10 advise
otherwise for that, and 4 list stored states before segments. Until then plans were held against version
0.1's, field by field, and differed where that was meant alone (plans_changed.toml and
results/plans_before.json of commit adaf1d2: 307 workloads, 0 differ).

Each is planned as `ullage plan FILE --json` does it, with advice, from an empty data home and without a
network. Every field of the reference must be there and equal; new fields are allowed. Of a workload that is
refused its error and exit code are compared. What differs on purpose stands in plans_changed.toml. The
version that plans is that of the Python that runs this file. `--processes` plans each in a process of its
own, which shows whether one plan leaves something behind for the next.
"""

from __future__ import annotations

import argparse
import contextlib
import fnmatch
import gzip
import hashlib
import io
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import tomllib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing import Pool
from pathlib import Path
from typing import Final

import result_file
from random_workloads import Case, cases, catalog, write_models

HERE: Final = Path(__file__).resolve().parent
EXAMPLES: Final = HERE.parent / "examples"
CHANGED: Final = HERE / "plans_changed.toml"
PLANNED, REFUSED = 255, 45
WORKERS: Final = 2
SHOWN: Final = 5
LARGEST_ITEMS: Final = 4000
"""Line items of one plan above which the reference keeps a digest for them."""
ITEMS: Final = "document.items"
"""The path of a plan's line items."""
NAME_OF_ITEM: Final = ("phase", "device", "role", "component", "layers", "note")
LEFT_OUT: Final = ("base", "sha256")
"""Of a document: the folder it was made in, and what follows from all the rest."""
KEYS: Final = ("workload", "gpus", "captures", "images", "path", "item", "why")
PICTURED: Final = re.compile(r'"images": [1-9]')
Result = dict[str, object]
Difference = tuple[str, object, object]
"""Path, before and after."""


def memory() -> int:
    """Bytes of RAM: plans on a processor depend on it."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def ullage(arguments: list[str], processes: bool) -> tuple[int, str, str]:
    """Exit code, output and errors of the command line."""
    try:
        if processes:
            raise ImportError
        from ullage.cli.main import main
    except ImportError:
        command = [sys.executable, "-m", "ullage", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout, done.stderr
    out, errors, code = io.StringIO(), io.StringIO(), 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
        try:
            main(arguments)
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else 0
    return code, out.getvalue(), errors.getvalue()


def planned(case: Case, processes: bool = False) -> Result:
    """The case with its document, or with its error; planned in the current folder."""
    file = case.name if isinstance(case.data, str) else f"{case.name}.json"
    Path(file).write_text(case.data if isinstance(case.data, str) else json.dumps(case.data, indent=1))
    code, out, errors = ullage(["plan", file, "--json", *case.arguments], processes)
    result: Result = {"name": case.name, "data": case.data, "arguments": list(case.arguments), "code": code}
    if out.strip():
        document = json.loads(out)
        result["document"] = {key: value for key, value in document.items() if key not in LEFT_OUT}
    result["errors"] = errors
    return result


def _enter(folder: str) -> None:
    os.chdir(folder)


def _planned(task: tuple[Case, bool]) -> Result:
    return planned(*task)


@contextlib.contextmanager
def workplace() -> Iterator[Pool]:  # type: ignore[valid-type]
    """Workers in a folder with the models, without evidence, a cache of models or a network."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "work"
        for name in ("home", "cache", "work"):
            (Path(folder) / name).mkdir()
        os.environ |= {
            "ULLAGE_HOME": str(Path(folder) / "home"),
            "HF_HOME": str(Path(folder) / "cache"),
            "HF_HUB_OFFLINE": "1",
            "COLUMNS": "100",
        }
        os.environ.pop("HF_HUB_CACHE", None)
        write_models(place)
        (place / "examples").mkdir()
        with Pool(WORKERS, _enter, (str(place),)) as pool:
            yield pool


def example_cases() -> list[Case]:
    """The files as they are now; a reference keeps their text, so that it outlives later changes to them."""
    return [Case(f"examples/{file.name}", file.read_text(), ()) for file in sorted(EXAMPLES.glob("*.yaml"))]


def write(target: Path) -> None:
    """Plans random workloads until enough are planned and enough are refused."""
    results: list[Result] = []
    counts = {"planned": 0, "refused": 0}
    code, out, errors = ullage(["models", "--json"], True)
    assert code == 0, errors
    stream = cases(catalog(json.loads(out)["models"]))
    with workplace() as pool:
        results += pool.map(_planned, [(case, False) for case in example_cases()], 1)
        while counts["planned"] < PLANNED or counts["refused"] < REFUSED:
            block = [(next(stream), False) for _ in range(60)]
            for result in pool.imap(_planned, block, 2):
                sort = "planned" if "document" in result else "refused"
                if counts[sort] < (PLANNED if sort == "planned" else REFUSED):
                    counts[sort] += 1
                    results.append(result)
    kinds: dict[str, int] = {}
    for result in results:
        document = result.get("document")
        verdict = str(document["verdict"]) if isinstance(document, dict) else "refused"
        kinds[verdict] = kinds.get(verdict, 0) + 1
        if isinstance(document, dict) and len(document["items"]) > LARGEST_ITEMS:
            document["items"] = digest(document["items"])
    lines = [{"memory": memory()}, *results]
    text = "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines)
    with target.open("wb") as raw, gzip.GzipFile("", "wb", 9, raw, mtime=0) as file:
        file.write(text.encode())
    print(f"{target}: {len(results)} workloads ({kinds}), {target.stat().st_size / 1e6:.1f} MB")


def digest(items: object) -> str:
    return "sha256 " + hashlib.sha256(json.dumps(items, sort_keys=True).encode()).hexdigest()


def differences(before: object, after: object, path: str = "") -> Iterator[Difference]:
    """Path, before and after of everything that was there before and is not the same now."""
    if isinstance(before, str) and before.startswith("sha256 ") and isinstance(after, list):
        after = digest(after)
    if isinstance(before, dict) and isinstance(after, dict):
        for key, value in before.items():
            where = f"{path}.{key}" if path else key
            if key in after:
                yield from differences(value, after[key], where)
            else:
                yield where, value, "(missing)"
    elif path == ITEMS and isinstance(before, list) and isinstance(after, list):
        yield from _differences_of_items(before, after)
    elif isinstance(before, list) and isinstance(after, list):
        if len(before) != len(after):
            yield f"{path}.length", len(before), len(after)
        for index, (one, other) in enumerate(zip(before, after, strict=False)):
            yield from differences(one, other, f"{path}.{index}")
    elif before != after or type(before) is not type(after):
        yield path, before, after


def _differences_of_items(before: list[Result], after: list[Result]) -> Iterator[Difference]:
    """Line items beside those of the same name, so that one that is new moves no other out of its place."""
    old, new = _named(before), _named(after)
    for name in old | new:
        where = f"{ITEMS}.{name}"
        if name in old and name in new:
            yield from differences(old[name], new[name], where)
        else:
            yield where, old.get(name, "(none)"), new.get(name, "(missing)")
    if [name for name in old if name in new] != [name for name in new if name in old]:
        yield f"{ITEMS}.order", list(old), list(new)


def _named(items: list[Result]) -> dict[str, Result]:
    """By phase, device, role, component, layers, note, and a number where several share all of these."""
    found: dict[str, Result] = {}
    seen: Counter[str] = Counter()
    for item in items:
        name = "/".join(str(item[part]) for part in NAME_OF_ITEM)
        seen[name] += 1
        found[f"{name}/{seen[name]}"] = item
    return found


@dataclass(frozen=True, slots=True)
class Change:
    """What is meant to differ: patterns, and whether only where a file or its plan has captures or images."""

    workload: str
    gpus: str
    path: str
    item: str
    captures: bool
    images: bool

    def concerns(self, result: Result) -> bool:
        """Whether it can happen to this workload."""
        return (
            fnmatch.fnmatch(str(result["name"]), self.workload)
            and fnmatch.fnmatch(gpus_of(result), self.gpus)
            and (not self.captures or "captures" in json.dumps(result))
            and (not self.images or PICTURED.search(json.dumps(result)) is not None)
        )

    def covers(self, path: str) -> bool:
        return fnmatch.fnmatch(path, self.path) and fnmatch.fnmatch(path.removeprefix(f"{ITEMS}."), self.item)


def changes(file: Path) -> list[Change]:
    """What may differ. A table with a key that means nothing, or without path and why, ends the program."""
    rows = tomllib.loads(file.read_text()).get("changed", [])
    for row in rows:
        if not row.get("why") or not row.get("path") or row.keys() - set(KEYS):
            raise SystemExit(f"{file}: {row} needs path and why, and may have {', '.join(KEYS)}")
    return [
        Change(
            row.get("workload", "*"),
            row.get("gpus", "*"),
            row["path"],
            row.get("item", "*"),
            row.get("captures", False),
            row.get("images", False),
        )
        for row in rows
    ]


def gpus_of(result: Result) -> str:
    document = result.get("document")
    return str(document["gpus"]) if isinstance(document, dict) else ""


def on_processor(result: Result) -> bool:
    """Whether the plan depends on how much RAM this machine has."""
    return gpus_of(result).endswith("x CPU")


def compare(reference: Path, changed: Path, processes: bool) -> dict[str, int]:
    """Prints every difference; how many workloads were compared, differ, and differences are meant."""
    with gzip.open(reference, "rt") as file:
        header, *before = map(json.loads, file)
    if header["memory"] != memory():
        skipped = [result for result in before if on_processor(result)]
        before = [result for result in before if not on_processor(result)]
        print(f"{len(skipped)} workloads on a processor are left out: this machine's RAM is another one")
    known = changes(changed)
    wrong = expected = 0
    start = time.perf_counter()
    with workplace() as pool:
        tasks = [(Case(r["name"], r["data"], tuple(r["arguments"])), processes) for r in before]
        for old, new in zip(before, pool.imap(_planned, tasks, 4), strict=True):
            found = list(differences(old, new))
            meant = [change for change in known if change.concerns(old)]
            unexpected = [each for each in found if not any(change.covers(each[0]) for change in meant)]
            expected += len(found) - len(unexpected)
            wrong += bool(unexpected)
            for path, one, other in unexpected[:SHOWN]:
                print(f"{old['name']} / {path} / {_short(one)} / {_short(other)}")
            if len(unexpected) > SHOWN:
                print(f"{old['name']} / ... and {len(unexpected) - SHOWN} more")
    print(
        f"{len(before)} workloads, {wrong} differ; {expected} differences are meant; "
        f"{time.perf_counter() - start:.0f} s"
    )
    return {"workloads": len(before), "differ": wrong, "meant_differences": expected}


def _short(value: object) -> str:
    text = re.sub(r"\s+", " ", value if isinstance(value, str) else json.dumps(value))
    return text if len(text) <= 160 else text[:157] + "..."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--write", type=Path, metavar="FILE")
    what.add_argument("--against", type=Path, metavar="FILE")
    parser.add_argument("--changed", type=Path, default=CHANGED, metavar="FILE", help="what may differ")
    parser.add_argument("--processes", action="store_true")
    options = parser.parse_args()
    if options.write:
        write(options.write)
    else:
        made = result_file.start("plans_before")
        figures = compare(options.against, options.changed, options.processes)
        made.write(figures, {"every plan is equal, but for what is meant": figures["differ"] == 0})


if __name__ == "__main__":
    main()
