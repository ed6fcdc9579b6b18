"""Runs on a Ray cluster of two nodes with input and partitions in a store that answers as S3 does, beside
local runs: the same bytes, also where an actor is killed, and nothing left in the store. Needs `ray` and the
extra `storage` with moto. Writes results/cluster_storage.json.
"""

from __future__ import annotations

import json
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import psutil
import result_file
from cluster_made import candidates, ray_cluster, script, verifying

import ullage

RECORDS: Final = 4000
PARTITION: Final = 100
TEXTS: Final = 400
BATCH_SECONDS: Final = 0.05


@contextmanager
def served(folder: Path) -> Iterator[Any]:
    """A bucket on loopback, as fsspec shows it."""
    import fsspec
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    os.environ |= {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": f"{folder}/none",
        "AWS_SHARED_CREDENTIALS_FILE": f"{folder}/none",
    }
    files = fsspec.filesystem("s3", skip_instance_cache=True)
    files.mkdir("bucket")
    try:
        yield files
    finally:
        server.stop()


def extracting() -> dict[str, Any]:
    """States of the bundled model."""
    return {
        "kind": "extract",
        "budget": {"gpus": "cpu"},
        "roles": {"model": {"model": "ullage:tiny", "batch": 8}},
        "prompt_tokens": 64,
        "captures": [{"sites": ["blocks.*.hook_resid_post"], "positions": "last", "keep": "disk"}],
        "extract": {"input": "texts.jsonl"},
        "partition": {"records": 50, "patience": 120},
    }


def stored(work: dict[str, Any]) -> dict[str, Any]:
    """The same with its input and its partitions in the bucket."""
    kind = work["kind"]
    section = {"input": f"s3://bucket/{work[kind]['input']}"}
    return {**work, kind: section, "partition": {**work["partition"], "store": "s3://bucket/runs"}}


def kill_one(files: Any, killed: threading.Event) -> None:
    """Kills an actor once a partition is in the store."""
    until = time.monotonic() + 120
    while time.monotonic() < until and not killed.is_set():
        time.sleep(0.05)
        if not any("/done/" in each for each in files.find("bucket/runs", refresh=True)):
            continue
        for each in psutil.Process().children(recursive=True):
            try:
                if "".join(each.cmdline()).startswith("ray::Actor"):
                    each.kill()
                    killed.set()
                    return
            except psutil.Error:
                continue


def beside(folder: Path, name: str, work: dict[str, Any], on: str, files: Any, kill: bool) -> dict[str, Any]:
    """A run in the store on the cluster beside the local one named after its kind."""
    killed, begun = threading.Event(), time.monotonic()
    if kill:
        threading.Thread(target=kill_one, args=(files, killed), daemon=True).start()
    _, record = ullage.run(ullage.load(stored(work)), folder / name, base=folder, on=on)
    seconds = time.monotonic() - begun
    local, accounts = output(folder / f"{work['kind']}-local"), record.outcome["partitions"]
    left = [each for each in files.find("bucket", refresh=True) if "/runs/" in each]
    return {
        "files": len(local),
        "same": output(folder / name) == local,
        "whole": ullage.check_run(folder / name).holds,
        "killed": killed.is_set(),
        "partitions": accounts["count"],
        "again": accounts["again"],
        "actors": len(accounts["actors"]),
        "left_in_store": len(left),
        "seconds": round(seconds, 1),
    }


def output(run: Path) -> dict[str, bytes]:
    """What a run is for: verified records, or states with their rows."""
    found = [run / "verified.jsonl", *(run / "states").rglob("*")]
    return {str(each.relative_to(run)): each.read_bytes() for each in found if each.is_file()}


def main() -> None:
    made = result_file.start("cluster_storage")
    runs: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as name, served(Path(name)) as files:
        folder = Path(name)
        os.environ["ULLAGE_HOME"] = f"{folder}/home"
        candidates(folder / "records.jsonl", RECORDS)
        script(folder / "script.jsonl", BATCH_SECONDS)
        texts = ({"text": f"Text {number} of {'many ' * (number % 9)}words."} for number in range(TEXTS))
        (folder / "texts.jsonl").write_text("".join(json.dumps(each) + "\n" for each in texts))
        works = {"pii": verifying(8, PARTITION), "extract": extracting()}
        for kind, work in works.items():
            ullage.run(ullage.load(work), folder / f"{kind}-local", base=folder)
            files.put(str(folder / work[kind]["input"]), f"bucket/{work[kind]['input']}")
        with ray_cluster([1, 1]) as cluster:
            for kind, work in works.items():
                runs[kind] = beside(folder, kind, work, cluster.address, files, kill=False)
            again = "pii, an actor killed"
            runs[again] = beside(folder, "killed", works["pii"], cluster.address, files, kill=True)
    print(json.dumps(runs, indent=1))
    claims = {
        f"{name}: the output is that of the local run, and nothing is left in the store": each["same"]
        and each["whole"]
        and each["files"] > 0
        and not each["left_in_store"]
        for name, each in runs.items()
    }
    claims["an actor was killed at work, and at most its partition done again"] = (
        runs[again]["killed"] and runs[again]["again"] <= 1
    )
    made.write({"records": RECORDS, "texts": TEXTS, "runs": runs}, claims)


if __name__ == "__main__":
    main()
