"""One plan for each value of something."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ullage.errors import InputError
from ullage.reports.sweep_page import Row

if TYPE_CHECKING:
    from ullage.facts.price import Prices
    from ullage.planning.plan import Plan
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


def _grid(sweeps: Sequence[str]) -> list[tuple[tuple[str, str], ...]]:
    axes = [[(path, value) for value in values] for path, values in map(parse_sweep, sweeps)]
    size = 1
    for axis in axes:
        size *= len(axis)
    if size > LARGEST_GRID:
        raise InputError(f"--sweep: {size} combinations; at most {LARGEST_GRID}")
    return list(itertools.product(*axes))


def sweep_file(
    file: str, gpus: str | None, sets: Sequence[str], sweeps: Sequence[str], prices: Prices | None = None
) -> list[Row]:
    """Plans `file` once for each combination of the swept values. Raises InputError where all are refused."""
    from ullage import api

    workload = api.opened(file)

    def planned(settings: Sequence[str]) -> Plan:
        whole = workload([*sets, *settings])
        return api.plan(whole, gpus, base=api.folder_of(file), advice=False, prices=prices)

    _once(sweeps)
    return _rows(planned, sweeps)


def sweep_workload(
    workload: Workload, gpus: str | None, sweeps: Sequence[str], prices: Prices | None = None
) -> list[Row]:
    """The same for a workload of one model without a file."""
    from ullage import api
    from ullage.api.one_model import cards_of, placed, with_settings

    def planned(settings: Sequence[str]) -> Plan:
        changed = with_settings(workload, settings)
        return api.plan(changed, cards_of(changed, gpus), advice=False, prices=prices)

    _once([placed(each) for each in sweeps])
    return _rows(planned, sweeps)


def _once(sweeps: Sequence[str]) -> None:
    """Refuses a path that is swept twice: one of its values would be passed over."""
    paths = [each.partition("=")[0].strip() for each in sweeps]
    twice = next((path for path in paths if paths.count(path) > 1), None)
    if twice is not None:
        raise InputError(f"--sweep {twice}: given twice; name all its values in one")


def _rows(planned: Callable[[Sequence[str]], Plan], sweeps: Sequence[str]) -> list[Row]:
    """A row for each point of the grid; a refused one says why, and the sweep goes on."""
    rows: list[Row] = []
    refused: list[InputError] = []
    for settings in _grid(sweeps):
        try:
            rows.append(Row(settings, planned([f"{path}={value}" for path, value in settings])))
        except InputError as error:
            refused.append(error)
            rows.append(Row(settings, None, "; ".join(str(error).splitlines())))
    if refused and len(refused) == len(rows):
        raise refused[0]
    return rows
