"""What a server gave no usable reply to, and what depends on it: taken back, so that it is asked again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ullage.kinds.evaluate.section import ENTAILMENT, SIMILARITY, Section, judges
from ullage.kinds.evaluate.stages import GREEDY, P_TRUE, SAMPLES, check_stage
from ullage.phases.blocks import own_section
from ullage.records.folder import JOURNAL, RunFolder
from ullage.records.journal import Journal
from ullage.records.lines import LineStore, numbered_rows, standing_items
from ullage.spec.workload import Workload

Items = frozenset[int]


def failed(run: RunFolder, workload: Workload) -> bool:
    """Whether anything that was asked of a server has failed."""
    return any(next(_failing(run, stage), None) is not None for stage in _stages(workload))


def retry(run: RunFolder, workload: Workload) -> None:
    """Takes back every answer and judgement that failed, and whatever was made of those answers."""
    journal = Journal(run.path / JOURNAL)
    try:
        for stage, items in _taken_back(run, workload).items():
            if items:
                LineStore(run.path, stage, journal).undo(sorted(items))
    finally:
        journal.close()


def asked_and_failed(row: Mapping[str, object]) -> bool:
    """Whether a row says that a request failed, and not that there was none."""
    return "failed" in row and row.get("asked", True) is True


def _stages(workload: Workload) -> tuple[str, ...]:
    named = judges(workload)
    return (GREEDY, SAMPLES, P_TRUE, *map(check_stage, named), *named, ENTAILMENT)


def _taken_back(run: RunFolder, workload: Workload) -> dict[str, Items]:
    """Items by stage. An item of an answer's stages is its question's number, of samples that times their
    count; which pair an item of entailment is depends on all samples before it."""
    count = own_section(workload, Section).samples
    found = {stage: frozenset(_failing(run, stage)) for stage in _stages(workload)}
    answers = found[GREEDY]
    drawn = frozenset(item // count for item in found[SAMPLES])
    for name in judges(workload):
        found[name] |= answers & _done(run, name)
    found[P_TRUE] |= (answers | drawn) & _done(run, P_TRUE)
    found[SIMILARITY] = (answers | drawn) & _done(run, SIMILARITY)
    if drawn:
        found[ENTAILMENT] = _done(run, ENTAILMENT)
    return found


def _failing(run: RunFolder, stage: str) -> Iterator[int]:
    return (item for item, row in numbered_rows(run.path, stage) if asked_and_failed(row))


def _done(run: RunFolder, stage: str) -> Items:
    return frozenset(standing_items(run.path, stage))
