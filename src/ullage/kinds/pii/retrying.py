"""Candidates that a server gave nothing usable of, taken back with what follows them, so that they are asked
again: rows stand in the order of the input."""

from __future__ import annotations

from ullage.kinds.pii.failing import unanswered_lines
from ullage.kinds.pii.pipes import read_once
from ullage.kinds.pii.section import VERIFIER, Section
from ullage.phases.blocks import own_section
from ullage.records.folder import JOURNAL, RunFolder
from ullage.records.journal import read_journal, write_journal
from ullage.spec.workload import Workload


def failed(run: RunFolder, workload: Workload) -> bool:
    """Whether a server has failed a candidate of an input that can be read again."""
    source = own_section(workload, Section).input
    piped = source is None or read_once(source)
    return not piped and any(True for _ in unanswered_lines(run.path))


def retry(run: RunFolder, workload: Workload) -> None:
    """Takes the run back to before the first window of lines that holds such a candidate, as if it had been
    cut short there: that window is verified again, and all after it."""
    first = min(unanswered_lines(run.path), default=None)
    if first is None:
        return
    path = run.path / JOURNAL
    kept, whole = [], True
    for entry in read_journal(path):
        if entry.get("stage") == VERIFIER:
            line = entry.get("line")
            whole = whole and isinstance(line, int) and line < first
        if whole or entry.get("stage") != VERIFIER:
            kept.append(entry)
    write_journal(path, kept)
