"""How many candidates have no verdict, and why."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import repeat
from pathlib import Path
from typing import Final

from ullage.fields import Fields
from ullage.kinds.pii.items import Item
from ullage.kinds.pii.records import Record
from ullage.records.failing import AGAIN, MOST, OUTCOME, count_failing
from ullage.records.lines import read_lines

FAILED: Final = "failed"
"""The file of candidates without a verdict, a line each."""
UNANSWERED: Final = "unanswered"


def failed_row(record: Record, place: int, item: Item) -> dict[str, object]:
    """The line of a record's candidate at `place`, which has no verdict."""
    row: dict[str, object] = {"id": record.id, "line": record.line, "candidate": place}
    row["reason"] = item.reason
    return {**row, UNANSWERED: True} if item.unanswered else row


def unanswered_lines(folder: Path) -> Iterator[int]:
    """The input's lines whose candidates a server gave nothing usable of."""
    for row in read_lines(folder / f"{FAILED}.jsonl"):
        if row.get(UNANSWERED) is True:
            yield Fields(row, f"{folder / FAILED}.jsonl").whole("line")


def failing_outcome(folder: Path, candidates: int, most: float, piped: bool) -> dict[str, object]:
    """Of so many candidates, as a record's outcome has it; a share `most` of them may fail. What a server
    failed is asked again by a resume, unless its input is `piped`."""
    found = count_failing("candidates", _reasons(folder, candidates))
    again = not piped and any(True for _ in unanswered_lines(folder))
    return {OUTCOME: [found.to_json()] if found.failed else [], MOST: most, AGAIN: again}


def _reasons(folder: Path, candidates: int) -> Iterator[str | None]:
    """Of each candidate: why it failed."""
    failed = 0
    for row in read_lines(folder / f"{FAILED}.jsonl"):
        failed += 1
        yield str(row["reason"])
    yield from repeat(None, max(candidates - failed, 0))
