"""Adds samples to the answers of a finished run: those that there are stay, with the same seeds."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Final

from ullage.errors import InputError
from ullage.kinds.evaluate.rejudging import copy_stages, unchanged_judges
from ullage.kinds.evaluate.section import GENERATOR, Section
from ullage.kinds.evaluate.stages import GREEDY, SAMPLES
from ullage.phases.blocks import captures_of, own_section
from ullage.records.folder import JOURNAL, RunFolder
from ullage.records.journal import Journal
from ullage.records.lines import LineStore, standing_rows
from ullage.spec.workload import Workload

TOGETHER: Final = 1000
"""Rows that are copied at a time."""


def check_resampling(before: Workload, samples: int) -> None:
    """Raises InputError where a run cannot be given so many samples."""
    there = own_section(before, Section).samples
    if samples <= there:
        raise InputError(f"--samples {samples}: the run has {there} already; ask for more")
    if captures_of(GENERATOR, before):
        raise InputError("captures: a run that keeps states of its generator takes no more samples")


def copy_answers(run: RunFolder, out: RunFolder, before: Workload, after: Workload) -> None:
    """Copies answers, and what does not depend on samples; samples that failed are asked for again."""
    copy_stages(run, out, (GREEDY, *unchanged_judges(before, after)))
    journal = Journal(out.path / JOURNAL)
    try:
        store = LineStore(out.path, SAMPLES, journal)
        count = own_section(after, Section).samples
        coming = _samples(run)
        for unit, rows in enumerate(iter(lambda: list(islice(coming, TOGETHER)), [])):
            store.add(unit, {SAMPLES: rows}, items=[number(row, count) for row in rows])
    finally:
        journal.close()


def number(row: dict[str, object], count: int) -> int:
    """A sample's number among those of all questions, of which each has `count`."""
    index, sample = row["index"], row["sample"]
    assert isinstance(index, int)
    assert isinstance(sample, int)
    return index * count + sample - 1


def _samples(run: RunFolder) -> Iterator[dict[str, object]]:
    return (row for row in standing_rows(run.path, SAMPLES) if "failed" not in row)
