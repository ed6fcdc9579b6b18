"""How many candidates have no verdict, and why."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import repeat
from pathlib import Path
from typing import Final

from ullage.records.failing import AGAIN, MOST, OUTCOME, count_failing
from ullage.records.lines import read_lines

FAILED: Final = "failed"
"""The file of candidates without a verdict, a line each."""


def failing_outcome(folder: Path, candidates: int, most: float) -> dict[str, object]:
    """Of so many candidates, as a record's outcome has it; a share `most` of them may fail. No resume asks
    any of them again: rows stand in the order of the input."""
    found = count_failing("candidates", _reasons(folder, candidates))
    return {OUTCOME: [found.to_json()] if found.failed else [], MOST: most, AGAIN: False}


def _reasons(folder: Path, candidates: int) -> Iterator[str | None]:
    """Of each candidate: why it failed."""
    failed = 0
    for row in read_lines(folder / f"{FAILED}.jsonl"):
        failed += 1
        yield str(row["reason"])
    yield from repeat(None, max(candidates - failed, 0))
