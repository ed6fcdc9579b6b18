"""How fast the planner page answers changes, and how much a browser loads at first.

    python benchmarks/planner_page.py  # prints, and writes results/planner_page.json

200 changes of the five examples are asked for as htmx asks, over one connection of `ullage ui`, one after
another, and the advice of every fifth as soon as its plan is there. Wall time, whatever else the machine does
meanwhile: its load is noted before and after, and what a million additions take, for machines differ twofold.
"""

from __future__ import annotations

import argparse
import atexit
import gzip
import http.client
import os
import random
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

import result_file

from ullage.spec.document import read_document

EXAMPLES: Final = ("extract", "evaluate", "werewolf", "assistant", "pii")
CHANGES: Final = 200
ADVISED: Final = 5
"""One change of so many is followed by its advice."""
PLAN_MS, ADVICE_MS = 100, 500
COMPRESSED, RAW = 200_000, 1_000_000
FIELDS: Final = {
    "batch": range(1, 17),
    "prompt_tokens": range(128, 4096, 64),
    "new_tokens": range(1, 512, 16),
    "budget.gpus": ("2x A100-80GB", "4x H100", "RTX 4090", "8x RTX A6000", "2x L40S"),
}
OF_A_ROLE: Final = {"precision": ("auto", "bf16", "int8", "nf4", "fp16"), "batch": range(1, 17)}


class Page:
    """`ullage ui FILE` in a process of its own, and a connection to it."""

    def __init__(self, file: str) -> None:
        command = [sys.executable, "-m", "ullage", "ui", file, "--port", "0"]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        atexit.register(self.process.kill)
        assert self.process.stderr is not None
        line = self.process.stderr.readline()
        assert "the page is at" in line, line
        port = int(line.strip().rstrip("/").rsplit(":", 1)[1])
        self.connection = http.client.HTTPConnection("127.0.0.1", port)

    def get(self, path: str, **headers: str) -> tuple[int, bytes, float]:
        """Status, body as it was sent, and milliseconds."""
        begun = time.perf_counter()
        self.connection.request("GET", path, headers={"Accept-Encoding": "gzip", **headers})
        answer = self.connection.getresponse()
        body = answer.read()
        return answer.status, body, 1000 * (time.perf_counter() - begun)

    def end(self) -> None:
        self.process.terminate()
        self.process.wait()


def changes(name: str) -> Iterator[dict[str, str]]:
    """One field after another takes another value, as somebody plays with them."""
    chance = random.Random(name)
    text = Path(f"examples/{name}.yaml").read_text(encoding="utf-8")
    fields: dict[str, Any] = dict(FIELDS)
    for role in read_document(text, name).data["roles"]:
        fields |= {f"roles.{role}.{field}": values for field, values in OF_A_ROLE.items()}
    while True:
        path = chance.choice(sorted(fields))
        yield {path: str(chance.choice(list(fields[path])))}


def measured(name: str, count: int) -> dict[str, Any]:
    """What one example's changes took."""
    page = Page(f"examples/{name}.yaml")
    loads = first_load(page)
    said: dict[str, str] = {}
    plans, advices, statuses = [], [], []
    coming = changes(name)
    for at in range(count):
        said |= next(coming)
        sets = urlencode([("set", f"{path}={value}") for path, value in said.items()])
        status, _, took = page.get(f"/change?{sets}", **{"HX-Request": "true"})
        statuses.append(status)
        plans.append(took)
        if status == 200 and at % ADVISED == 0:
            advices.append(page.get(f"/advice?{sets}", **{"HX-Request": "true"})[2])
    page.end()
    return {
        "plans": plans,
        "advices": advices,
        "refused": sum(status != 200 for status in statuses),
        **loads,
    }


def first_load(page: Page) -> dict[str, int]:
    """Bytes of the page and of all that it loads, as sent and as read."""
    sent = read = 0
    _, body, _ = page.get("/")
    text = gzip.decompress(body)
    parts = re.findall(r'(?:src|stylesheet" href)="([^"]+)"', text.decode())
    for held in [body, *(page.get(part)[1] for part in parts)]:
        sent += len(held)
        read += len(gzip.decompress(held) if held[:2] == b"\x1f\x8b" else held)
    return {"compressed_bytes": sent, "raw_bytes": read}


def additions_ms() -> float:
    """Milliseconds of a million additions in Python: the best of five."""

    def once() -> float:
        begun, total = time.perf_counter(), 0
        for each in range(1_000_000):
            total += each
        return 1000 * (time.perf_counter() - begun)

    return round(min(once() for _ in range(5)), 1)


def p95(values: list[float]) -> float:
    return round(statistics.quantiles(values, n=20)[-1], 1)


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter).parse_args()
    made = result_file.start("planner_page")
    load = os.getloadavg()[0]
    rows = {name: measured(name, CHANGES // len(EXAMPLES)) for name in EXAMPLES}
    plans = [each for row in rows.values() for each in row["plans"]]
    advices = [each for row in rows.values() for each in row["advices"]]
    figures: dict[str, Any] = {
        "load": [load, os.getloadavg()[0]],
        "million_additions_ms": additions_ms(),
        "changes": len(plans),
        "refused": sum(row["refused"] for row in rows.values()),
        "plan_ms": {"median": round(statistics.median(plans), 1), "p95": p95(plans)},
        "advice_ms": {"median": round(statistics.median(advices), 1), "p95": p95(advices)},
        "compressed_bytes": max(row["compressed_bytes"] for row in rows.values()),
        "raw_bytes": max(row["raw_bytes"] for row in rows.values()),
        "examples": {
            name: {
                "plan_ms": {"median": round(statistics.median(row["plans"]), 1), "p95": p95(row["plans"])},
                "advice_ms": {
                    "median": round(statistics.median(row["advices"]), 1),
                    "p95": p95(row["advices"]),
                },
                "compressed_bytes": row["compressed_bytes"],
                "raw_bytes": row["raw_bytes"],
            }
            for name, row in rows.items()
        },
    }
    made.write(
        figures,
        {
            f"a plan within {PLAN_MS} ms at the 95th percentile": figures["plan_ms"]["p95"] <= PLAN_MS,
            f"advice within {ADVICE_MS} ms at the 95th percentile": figures["advice_ms"]["p95"] <= ADVICE_MS,
            "a first load of at most 200 kB compressed and 1 MB raw": figures["compressed_bytes"]
            <= COMPRESSED
            and figures["raw_bytes"] <= RAW,
        },
    )


if __name__ == "__main__":
    main()
