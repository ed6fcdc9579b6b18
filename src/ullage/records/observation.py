"""One measurement of the bytes a process took beside its tensors, and the line of JSON that keeps it."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import PurePath
from typing import Final

from ullage.errors import FormatError
from ullage.fields import Fields
from ullage.records.record import Environment, Record
from ullage.spec.workload import Workload

LARGEST: Final = 2**44
"""Bytes (16 TiB) that no process takes beside its tensors: a larger number was not measured."""
OLD: Final = frozenset({"gpu", "driver", "torch", "transformers", "overhead"})
"""The fields of a line that Ullage 0.1 wrote."""


@dataclass(frozen=True, slots=True)
class Key:
    """What observations are kept apart by: they say nothing of another card, library or number of threads."""

    gpu: str
    driver: str
    torch: str
    transformers: str
    threads: int

    def __str__(self) -> str:
        threads = f"{self.threads} thread{'' if self.threads == 1 else 's'}"
        libraries = f"torch {self.torch}, transformers {self.transformers}"
        return f"{self.gpu}, driver {self.driver}, {libraries}, {threads}"


@dataclass(frozen=True, slots=True)
class Observation:
    """Bytes a process took beside its tensors (process less reserved) on a device, at its largest.

    `held` is what it took before a model was loaded (0 on a card), `workload` the shape of what ran
    (`shape_of`), `phase` where it was largest; `date` (UTC) and the name of the run's folder say which run.
    """

    key: Key
    overhead: int
    held: int
    workload: str
    phase: str
    date: str
    run: str


FIELDS: Final = len(fields(Key)) + len(fields(Observation)) - 1
"""Fields of a line: those of an observation, with its key's in place of the key."""


@dataclass(frozen=True, slots=True)
class Here:
    """The process that is to run a plan: its key, and the bytes it holds before any model (0 on cards)."""

    key: Key
    held: int


def key_of(where: Environment) -> Key:
    """What of an environment observations are kept apart by."""
    return Key(where.gpu, where.driver, where.torch, where.transformers, where.threads)


def shape_of(workload: Workload, *, sizes: bool = True) -> str:
    """What decides how much a process takes beside its tensors: kind, each role's engine, model, precision
    and, with `sizes`, batch and lengths, and what is captured. A model in a folder is named by that folder
    alone, and told from others of its name by a digest of the path."""
    parts = [workload.kind]
    for name, role in sorted(workload.roles.items()):
        batch = workload.batch if role.batch is None else role.batch
        prompt = workload.prompt_tokens if role.prompt_tokens is None else role.prompt_tokens
        new = workload.new_tokens if role.new_tokens is None else role.new_tokens
        model = _told(role.model) if role.model.startswith(("/", ".", "~")) else role.model
        size = f" {batch} x ({prompt} + {new})" if sizes else ""
        parts.append(f"{name}: {model} {role.precision} {role.engine}{size}")
    for capture in workload.captures:
        whose = f"{capture.role} " if capture.role else ""
        parts.append(f"captures {whose}{' '.join(capture.sites)} {capture.positions} on {capture.keep}")
    return "; ".join(parts)


def _told(path: str) -> str:
    return f"{PurePath(path).name} #{hashlib.sha256(os.fsencode(path)).hexdigest()[:6]}"


def observations_of(
    record: Record, workload: str, run: str, date: str, held: int = 0
) -> tuple[Observation, ...]:
    """What a record says of each device: its largest process beside its tensors, loading left out.

    `workload` is the `shape_of` what ran, `held` the bytes the process took before a model was loaded.
    """
    largest: dict[str, tuple[int, str]] = {}
    for measured in record.measured:
        if measured.process is None or measured.reserved is None or measured.activity == "load":
            continue
        beside = measured.process - measured.reserved
        largest[measured.device] = max(largest.get(measured.device, (0, "")), (beside, measured.phase))
    key = key_of(record.environment)
    return tuple(
        Observation(key, max(beside, held), held, workload, phase, date, run)
        for beside, phase in largest.values()
        if beside > 0
    )


def line_of(observation: Observation) -> str:
    """As a line of JSON."""
    said = asdict(observation)
    return json.dumps({**said.pop("key"), **said}, ensure_ascii=False)


def read_observation(found: Mapping[str, object]) -> Observation | str:
    """The observation in a line's object, or why it is none."""
    if set(found) == OLD:
        return "of version 0.1, which kept neither threads nor workload"
    if len(found) != FIELDS:
        return "no observation"
    try:
        read = _observation(Fields(found, "evidence"))
    except FormatError:
        return "no observation"
    sizes = 0 < read.key.threads <= 2**16 and 0 < read.overhead <= LARGEST and 0 <= read.held <= read.overhead
    return read if sizes else "a size that cannot be"


def _observation(found: Fields) -> Observation:
    told = (found.text(name) for name in ("workload", "phase", "date", "run"))
    return Observation(read_key(found), found.whole("overhead"), found.whole("held"), *told)


def read_key(found: Fields) -> Key:
    """The key among the fields of a line. Raises FormatError."""
    return Key(
        found.text("gpu"),
        found.text("driver"),
        found.text("torch"),
        found.text("transformers"),
        found.whole("threads"),
    )
