"""An assistant whose models are scripts: the folder of its file, and what a run of it answered."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

Rows = Iterable[Mapping[str, object]]
WORK: Final = """
kind: assistant
roles:
{roles}
budget: {{gpus: cpu}}
batch: {batch}
assistant: {section}
"""


def write_lines(path: Path, rows: Rows) -> None:
    """JSON lines."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def scripted(folder: Path, scripts: Mapping[str, Rows], section: str, batch: int) -> Path:
    """`folder` with work.yaml, where each role of `scripts` says its lines; `section` is the kind's part."""
    for role, rows in scripts.items():
        write_lines(folder / f"{role}.jsonl", rows)
    roles = "\n".join(f"  {role}: {{model: {role}.jsonl, engine: scripted}}" for role in scripts)
    (folder / "work.yaml").write_text(WORK.format(roles=roles, batch=batch, section=section))
    return folder


def answers(run: Path) -> dict[str, Any]:
    """What a run answered, by the request's id."""
    lines = (run / "answers.jsonl").read_text(encoding="utf-8").splitlines()
    return {row["id"]: row for row in map(json.loads, lines)}
