"""What a judge made of the statements that no game decided."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ullage.fields import Fields
from ullage.records.lines import read_lines

JUDGED: Final = "judged"
"""The file of a run, as JSON lines, and the stage."""
TRUTHS: Final[Mapping[str, str]] = {"yes": "true", "no": "lie"}
"""What each verdict says of a statement."""
UNSCORED: Final = "unscored"
Key = tuple[str, int, int]
"""Condition, game, and the number of an ask."""


@dataclass(frozen=True, slots=True)
class Judged:
    """What the judge made of one statement: "true" or "lie"; None where it gave no verdict, and why."""

    truth: str | None
    reason: str


def judged_in(folder: Path) -> dict[Key, Judged]:
    """What the judge of a run said, by statement; nothing of a run without one. Raises FormatError."""
    path = folder / f"{JUDGED}.jsonl"
    found: dict[Key, Judged] = {}
    for number, line in enumerate(read_lines(path) if path.is_file() else (), 1):
        row = Fields(line, f"{path}:{number}")
        verdict = None if row.value("verdict") is None else row.text("verdict")
        key = row.text("condition"), row.whole("game"), row.whole("number")
        found[key] = Judged(None if verdict is None else TRUTHS[verdict], row.text("reason"))
    return found


def counted(judged: Iterable[Judged]) -> dict[str, int]:
    """How many are true, lies, and unscored."""
    return dict(sorted(Counter(each.truth or UNSCORED for each in judged).items()))
