"""One plan for each value of something."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ullage.errors import InputError
from ullage.reports.sweep_page import Row

if TYPE_CHECKING:
    from ullage.spec.workload import Workload

LARGEST_GRID = 10_000


def parse_sweep(text: str) -> tuple[str, list[str]]:
    """`batch=1..64` doubles, `batch=0..10:2` steps, `precision=bf16,int8` lists. Raises InputError."""
    path, equals, values = text.partition("=")
    if not equals or not path.strip() or not values.strip():
        raise InputError(f"--sweep {text!r}: write path=1..64, path=0..10:2 or path=a,b,c")
    match = re.fullmatch(r"\s*(\d{1,9})\.\.(\d{1,9})(?::(\d{1,9}))?\s*", values)
    if match is None:
        return path.strip(), [value.strip() for value in values.split(",") if value.strip()]
    first, last = int(match[1]), int(match[2])
    if first > last or (match[3] is not None and int(match[3]) == 0):
        raise InputError(f"--sweep {text!r}: the range is empty")
    if match[3] is not None:
        found = list(itertools.islice(range(first, last + 1, int(match[3])), LARGEST_GRID + 1))
    else:
        found, at = [], first
        while at < last:
            found.append(at)
            at = max(at * 2, 1)
        found.append(last)
    return path.strip(), [str(value) for value in found]


def _grid(sweeps: Sequence[str], prefix: str) -> list[tuple[tuple[str, str], ...]]:
    parsed = [parse_sweep(text) for text in sweeps]
    axes = [[(prefix + path, value) for value in values] for path, values in parsed]
    size = 1
    for axis in axes:
        size *= len(axis)
    if size > LARGEST_GRID:
        raise InputError(f"--sweep: {size} combinations; at most {LARGEST_GRID}")
    return list(itertools.product(*axes))


def sweep_file(file: str, gpus: str | None, sets: Sequence[str], sweeps: Sequence[str]) -> list[Row]:
    """Plans `file` once for each combination of the swept values."""
    from ullage import api

    rows, workload = [], api.opened(file)
    for settings in _grid(sweeps, ""):
        overrides = [*sets, *(f"{path}={value}" for path, value in settings)]
        found = api.plan(workload(overrides), gpus, base=api.folder_of(file), advice=False)
        rows.append(Row(settings, found))
    return rows


def sweep_workload(workload: Workload, gpus: str, sweeps: Sequence[str], prefix: str) -> list[Row]:
    """The same for a workload without a file; `prefix` leads to its role."""
    from ullage import api
    from ullage.spec.role import Role

    rows = []
    for settings in _grid(sweeps, ""):
        role = workload.roles["model"].model_dump()
        for path, value in settings:
            name = path.replace("-", "_").removeprefix(prefix)
            if name not in Role.model_fields:
                raise InputError(f"--sweep {path}: no such setting; one of {', '.join(Role.model_fields)}")
            role[name] = int(value) if value.isdigit() else value
        changed = api.bare_workload(
            role.pop("model"), training=workload.training, memory=workload.memory, **role
        )
        rows.append(Row(settings, api.plan(changed, gpus, advice=False)))
    return rows
