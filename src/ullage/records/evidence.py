"""Measured memory of past runs on this machine, which later plans use.

One line of JSON per run and device in `evidence.jsonl`, under $ULLAGE_HOME or the user's data folder.
What is taken from it so far is what no formula knows: the bytes a process takes on a device before and
beside its tensors (CUDA context and loaded kernels; libraries on a processor).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from ullage.memory.process import Overhead
from ullage.units import MIB, Interval

if TYPE_CHECKING:
    from ullage.records.record import Record

NAME = "evidence.jsonl"
ROOM = 32 * MIB
"""Bytes the interval goes beyond the measurements on both sides, upwards with a quarter of the largest:
kernels that another workload loads, pages that malloc keeps, and what is not loaded yet while a model is."""


@dataclass(frozen=True, slots=True)
class Observation:
    """Bytes a process took beside its tensors (process less reserved) on a device of one kind."""

    gpu: str
    driver: str
    torch: str
    transformers: str
    overhead: int


@dataclass(frozen=True, slots=True)
class Evidence:
    """Observations made on machines with the same card, driver and libraries as each other."""

    observations: tuple[Observation, ...] = ()

    def overhead(self, gpu: str) -> Overhead | None:
        """What a process took beside its tensors on `gpu`, under the newest versions seen there."""
        known = [o for o in self.observations if o.gpu == gpu]
        if not known:
            return None
        from statistics import median

        newest = known[-1]
        same = [o for o in known if (o.driver, o.torch) == (newest.driver, newest.torch)]
        values = sorted(o.overhead for o in same)
        middle = int(median(values))
        source = (
            f"measured in {len(same)} run{'s' if len(same) > 1 else ''} here on {gpu}, driver "
            f"{newest.driver}, torch {newest.torch}, transformers {newest.transformers}"
        )
        return Overhead(Interval(max(values[0] - ROOM, 0), middle, values[-1] * 5 // 4 + ROOM), source)


NOTHING = Evidence()


def evidence_file() -> Path:
    """$ULLAGE_HOME, else $XDG_DATA_HOME/ullage, else ~/.local/share/ullage."""
    home = os.environ.get("ULLAGE_HOME")
    if home:
        return Path(home) / NAME
    data = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(data).expanduser() / "ullage" / NAME


def read_evidence(path: Path | None = None) -> Evidence:
    """What past runs left; lines that are no observations are skipped, a missing file is empty."""
    try:
        lines = (path or evidence_file()).read_text(encoding="utf-8").splitlines()
    except OSError:
        return Evidence()
    found = []
    for line in lines:
        try:
            found.append(Observation(**json.loads(line)))
        except (ValueError, TypeError):
            continue
    return Evidence(tuple(found))


@lru_cache(maxsize=4)
def _parsed(path: str, changed: int) -> Evidence:
    return read_evidence(Path(path))


@lru_cache(maxsize=4)
def _path_in(home: str | None, data: str | None) -> str:
    return str(evidence_file())


def known_evidence() -> Evidence:
    """`read_evidence` of the usual file, read anew only when it has changed: plans come by the thousand."""
    path = _path_in(os.environ.get("ULLAGE_HOME"), os.environ.get("XDG_DATA_HOME"))
    try:
        changed = os.stat(path).st_mtime_ns
    except OSError:
        return NOTHING
    return _parsed(path, changed)


def observations_of(record: Record) -> tuple[Observation, ...]:
    """What a record says of each device: its largest process beside its tensors, loading left out."""
    largest: dict[str, int] = {}
    for measured in record.measured:
        if measured.process is None or measured.reserved is None or measured.activity == "load":
            continue
        beside = measured.process - measured.reserved
        largest[measured.device] = max(largest.get(measured.device, 0), beside)
    where = record.environment
    return tuple(
        Observation(where.gpu, where.driver, where.torch, where.transformers, beside)
        for beside in largest.values()
        if beside > 0
    )


def keep_evidence(observations: Iterable[Observation], path: Path | None = None) -> None:
    """Appends observations, one write each, so that runs side by side do not mix their lines."""
    target = path or evidence_file()
    lines = [json.dumps(asdict(each)) + "\n" for each in observations]
    if not lines:
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("a", encoding="utf-8") as file:
        file.write("".join(lines))
