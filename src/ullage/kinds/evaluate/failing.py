"""What of an evaluation failed, stage by stage."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from ullage.kinds.evaluate.section import ENTAILMENT, SIMILARITY, Section, judges
from ullage.kinds.evaluate.stages import GREEDY, P_TRUE, SAMPLES, check_stage
from ullage.records.failing import Failing, count_failing
from ullage.records.lines import standing_rows
from ullage.spec.workload import Workload

OF_LOGPROBS: Final = (
    "G-NLL, mean NLL and the other NLLs, predictive and semantic entropy, SAR and SentSAR, prefixes"
)
"""What is made of log-probabilities alone."""


def failures(folder: Path, workload: Workload, section: Section) -> tuple[Failing, ...]:
    """Of each stage in which something failed."""
    stages = {GREEDY: "answers"}
    stages |= {SAMPLES: "samples"} if section.samples else {}
    stages |= {P_TRUE: "answers weighed by the generator"} if section.p_true else {}
    named = judges(workload)
    if section.judge_check:
        stages |= {check_stage(name): f"known answers judged by {name}" for name in named}
    stages |= {name: f"verdicts of {name}" for name in named}
    stages |= {SIMILARITY: "answers compared with others"}
    stages |= {ENTAILMENT: "comparisons of samples"}
    counted = (count_failing(what, _reasons(folder, stage)) for stage, what in stages.items())
    return tuple(each for each in counted if each.failed)


def _reasons(folder: Path, stage: str) -> Iterator[str | None]:
    """Of each row that was asked for: why it failed."""
    for row in standing_rows(folder, stage):
        if "unanswered" not in row:
            yield str(row["failed"]) if "failed" in row else None


def without_logprobs(folder: Path) -> tuple[int, int]:
    """How many answers have no log-probabilities, and how many there are."""
    there = [bool(row.get("logprobs")) for row in _answers(folder)]
    return there.count(False), len(there)


def _answers(folder: Path) -> Iterator[Mapping[str, object]]:
    return (row for row in standing_rows(folder, GREEDY) if "failed" not in row)
