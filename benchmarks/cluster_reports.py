"""What others reported of batch work on clusters, rebuilt small on a Ray cluster of this machine: workers
that are killed or leave, nodes that go again and again, inputs that are not tidy, wrong
addresses, full disks, stores that slow down or cut off. Needs `ray`. Writes results/cluster_reports.json.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import result_file
from cluster_made import candidates, node_of, ray_cluster, script, verifying

import ullage
from ullage import copies, store
from ullage.errors import InputError
from ullage.records.parts import Parts
from ullage.scale.blame import NODES, REASON

ROWS: Final = ("verified.jsonl", "failed.jsonl", "rejects.jsonl")
RECORDS: Final = 24
PARTITION: Final = 4
SOON: Final = 60.0
"""Seconds in which what is refused is, the start of a program on a busy machine included."""
FATAL: Final = {3: "leaves", 10: "killed"}
"""Numbers of records that end whatever does them, and how."""
PATCH: Final = """
import errno, os, signal, sys
import ullage.engines.scripted as scripted
score = scripted.ScriptedEngine.score
def scored(self, prompts, choices):
    text = str(prompts)
    if "leaves-" in text:
        sys.exit(0)
    if "killed-" in text:
        os.kill(os.getpid(), signal.SIGKILL)
    if "full-" in text:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/scratch/rows.jsonl")
    return score(self, prompts, choices)
scripted.ScriptedEngine.score = scored
"""
"""What Ray's workers do at their start."""
UNTIDY: Final = (
    b"\xef\xbb\xbf",
    b"\n",
    b"   \t\r\n",
    b"\xc2\xa0\n",
    b"no record\n",
    b"\x1c\n",
    b'{"text": "cut off\n',
    b"{}\r\n",
)
"""A byte-order mark for the first record, and lines that are blank or no records."""


def named(number: int, word: str) -> bytes:
    found = {"type": "phone", "start": 5, "end": 5 + len(word)}
    return json.dumps({"id": number, "text": f"Call {word} now", "candidates": [found]}).encode() + b"\n"


def make(folder: Path) -> None:
    """Inputs, scripts and what Ray's workers are patched with."""
    (folder / "patch").mkdir()
    (folder / "patch" / "sitecustomize.py").write_text(PATCH)
    script(folder / "script.jsonl")
    script(folder / "slow.jsonl", 0.5)
    candidates(folder / "records.jsonl", RECORDS)
    lines = (folder / "records.jsonl").read_bytes().splitlines(keepends=True)
    fatal = [named(n, f"{FATAL[n]}-{n}") if n in FATAL else line for n, line in enumerate(lines)]
    (folder / "fatal.jsonl").write_bytes(b"".join(fatal))
    mark, *others = UNTIDY
    untidy = [line.replace(b"\n", b"\r\n") + others[n % len(others)] for n, line in enumerate(lines)]
    huge = named(RECORDS, "real-" + "9" * 2**20)
    (folder / "untidy.jsonl").write_bytes(mark + b"".join(untidy) + huge.rstrip(b"\n"))
    (folder / "twice.jsonl").write_bytes(b"".join([*lines, lines[5]]))
    (folder / "full.jsonl").write_bytes(b"".join([*lines[:5], named(5, "full-5"), *lines[6:]]))


def work(source: str, partition: int = PARTITION, model: str = "script.jsonl") -> dict[str, Any]:
    given = verifying(2, partition, model)
    return {**given, "pii": {"input": source}}


def rows(run: Path) -> list[bytes]:
    return [(run / name).read_bytes() for name in ROWS]


def local(folder: Path, name: str, given: dict[str, Any]) -> list[bytes]:
    """Rows of a run here, in one piece."""
    whole = {key: value for key, value in given.items() if key != "partition"}
    ullage.run(ullage.load(whole), folder / name, base=folder, quiet=True)
    return rows(folder / name)


def begin(folder: Path, name: str, on: str, given: dict[str, Any], **environment: str) -> Any:
    (folder / f"{name}.json").write_text(json.dumps(given))
    command = [sys.executable, "-m", "ullage", "run", f"{name}.json", "--out", name, "--on", on, "--quiet"]
    env, quiet = {**os.environ, **environment}, subprocess.DEVNULL
    return subprocess.Popen(command, cwd=folder, env=env, stdout=quiet, stderr=subprocess.PIPE, text=True)


def refused(folder: Path, name: str, on: str, given: dict[str, Any], **environment: str) -> dict[str, Any]:
    """What a run that cannot be ends with."""
    began = time.monotonic()
    driver = begin(folder, name, on, given, **environment)
    try:
        said = driver.communicate(timeout=3 * SOON)[1].strip().splitlines()
    except subprocess.TimeoutExpired:
        driver.kill()
        said = ["hangs"]
    seconds = time.monotonic() - began
    return {"said": said[-1] if said else "", "lines": len(said), "seconds": round(seconds, 1)}


def ended(folder: Path, name: str, on: str, given: dict[str, Any]) -> dict[str, Any]:
    """What the record of a run says of its partitions."""
    driver = begin(folder, name, on, given)
    said = driver.communicate(timeout=400)[1]
    assert (folder / name / "record.json").exists(), said
    return accounts(folder / name)


def accounts(run: Path) -> dict[str, Any]:
    found = json.loads((run / "record.json").read_text())["outcome"]["partitions"]
    return {key: found[key] for key in ("again", "lost", "trials", "rejected")}


def nodes_go(folder: Path, cluster: Any, given: dict[str, Any]) -> dict[str, Any]:
    """The node goes whenever the one partition of a run is being done, so often that it would be searched."""
    driver, parts = begin(folder, "nodes", cluster.address, given), Parts(folder / "nodes")
    for gone in range(1, NODES + 1):
        while driver.poll() is None and (parts.count is None or parts.begun < gone):
            time.sleep(0.1)
        time.sleep(0.5)
        cluster.remove_node(next(iter(cluster.worker_nodes)), allow_graceful=False)
        cluster.add_node(**node_of(2))
    driver.communicate(timeout=300)
    return accounts(folder / "nodes")


@contextmanager
def client(name: str, instead: Callable[[Any, tuple[Any, ...]], Any]) -> Iterator[None]:
    """fsspec's memory does this in place of what it does, and nothing is waited for."""
    from fsspec.implementations.memory import MemoryFileSystem

    real, waits = getattr(MemoryFileSystem, name), list(store.WAITS)
    setattr(MemoryFileSystem, name, lambda self, *given, **more: instead(real, (self, *given)))
    store.WAITS[:] = [0.0] * len(waits)
    try:
        yield
    finally:
        setattr(MemoryFileSystem, name, real)
        store.WAITS[:] = waits


def stores(folder: Path) -> dict[str, Any]:
    """A store that slows down four times and one that never ends it; one whose bytes are cut off once."""
    place, asked = store.Store("memory://reports"), []
    place.put_new(b"x" * 1000, "key")

    def slow(times: int) -> Callable[[Any, tuple[Any, ...]], Any]:
        def instead(real: Any, given: tuple[Any, ...]) -> Any:
            asked.append(1)
            if len(asked) <= times:
                raise OSError(16, "SlowDown: Please reduce your request rate.")
            return real(*given)

        return instead

    def cut(real: Any, given: tuple[Any, ...]) -> Any:
        real(*given)
        asked.append(1)
        if len(asked) == 1:
            os.truncate(given[2], 500)

    with client("cat_file", slow(4)):
        came = len(place.read("key"))
    asked.clear()
    with client("cat_file", slow(10**9)):
        try:
            said = str(place.read("key"))
        except InputError as error:
            said = str(error)
    asked.clear()
    with client("get_file", cut):
        place.get("key", folder / "copy")
    return {"slow": came, "never": said, "cut off": (folder / "copy").stat().st_size}


FETCH: Final = """
import sys, time
from ullage.store import Store
from ullage.copies import fetch
real = Store.get
def get(*given):
    print("copied")
    time.sleep(0.5)
    return real(*given)
Store.get = get
fetch(sys.argv[1])
"""


def fetched(folder: Path, processes: int = 4) -> int:
    """How many of several processes that want an object at the same moment copy it."""
    url = f"file://{folder}/records.jsonl"
    begun = [
        subprocess.Popen([sys.executable, "-c", FETCH, url], stdout=subprocess.PIPE, text=True)
        for _ in range(processes)
    ]
    there = copies.home_of(url)
    count = sum(each.communicate()[0].count("copied") for each in begun)
    return count if any(there.glob("*/records.jsonl")) else -1


def main() -> None:
    made = result_file.start("cluster_reports")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        os.environ |= {"ULLAGE_HOME": f"{folder}/home", "PYTHONPATH": f"{folder}/patch"}
        make(folder)
        with ray_cluster([0]) as cluster:
            cluster.add_node(**node_of(2))
            on = cluster.address
            found = on_cluster(folder, cluster, on)
        del os.environ["PYTHONPATH"]
        found |= {"stores": stores(folder), "copies of one object": fetched(folder)}
    print(json.dumps(found, indent=1), flush=True)
    made.write(found, claims(found))


def on_cluster(folder: Path, cluster: Any, on: str) -> dict[str, Any]:
    """The figures of what needs one."""
    found: dict[str, Any] = {}
    whole = local(folder, "local", work("records.jsonl"))
    found["nodes"] = nodes_go(folder, cluster, work("records.jsonl", RECORDS, "slow.jsonl"))
    slow = local(folder, "local-slow", work("records.jsonl", RECORDS, "slow.jsonl"))
    found["nodes"]["same"] = rows(folder / "nodes") == slow
    untidy = work("untidy.jsonl")
    found["untidy"] = ended(folder, "untidy", on, untidy)
    found["untidy"]["same"] = rows(folder / "untidy") == local(folder, "local-untidy", untidy)
    found["twice"] = refused(folder, "twice", on, work("twice.jsonl"))
    found["full"] = refused(folder, "full", on, work("full.jsonl"))
    plain = work("records.jsonl")
    found["nobody"] = refused(folder, "nobody", "ray", plain, RAY_ADDRESS="127.0.0.1:1")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        found["another"] = refused(folder, "another", f"127.0.0.1:{silent.getsockname()[1]}", plain)
    found["fatal"] = ended(folder, "fatal", on, work("fatal.jsonl"))
    kept = [line for n, line in enumerate(whole[0].splitlines()) if n not in FATAL]
    rejects = [json.loads(line) for line in (folder / "fatal/rejects.jsonl").read_text().splitlines()]
    found["fatal"]["same"] = (folder / "fatal/verified.jsonl").read_bytes().splitlines() == kept
    found["fatal"]["lines"] = [each["line"] - 1 for each in rejects if each["reason"] == REASON]
    return found


def claims(found: dict[str, Any]) -> dict[str, bool]:
    one_line = all(
        found[name]["lines"] == 1 and found[name]["seconds"] <= SOON
        for name in ("twice", "nobody", "another")
    )
    stored = found["stores"]
    return {
        "records that make their worker leave, or kill it, are rejected, all others as in a local run": (
            found["fatal"]["same"] and found["fatal"]["lines"] == [*FATAL]
        ),
        "nodes that go while a partition is done cost its work, and nothing is searched or rejected": (
            found["nodes"] == {"again": NODES, "lost": NODES, "trials": 0, "rejected": 0, "same": True}
        ),
        "an untidy input gives the rows of a local run in one piece": found["untidy"]["same"],
        "ids twice, nobody at an address and something else there are one line, soon": one_line,
        "a disk that is full is one line, with its node and file": (
            found["full"]["lines"] == 1 and "/scratch/rows.jsonl: No space left" in found["full"]["said"]
        ),
        "a store that slows down is asked again, and bytes that are cut off do not count": (
            stored["slow"] == stored["cut off"] == 1000 and "5 times asked" in stored["never"]
        ),
        "of several processes that want one object one copies it": found["copies of one object"] == 1,
    }


if __name__ == "__main__":
    main()
