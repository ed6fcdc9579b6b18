"""Judges the answers of a finished run again: what stays as it is is copied, the rest is done anew."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from ullage.capture.entries import states_of
from ullage.errors import InputError
from ullage.kinds.evaluate.section import ENTAILMENT, GENERATOR, SIMILARITY, Section, judges
from ullage.kinds.evaluate.stages import GREEDY, P_TRUE, SAMPLES, check_stage
from ullage.phases.blocks import captures_of, own_section
from ullage.records.fits import fitted_files, is_of_fit, lines_of_fits
from ullage.records.folder import RunFolder
from ullage.records.journal import Journal, read_journal
from ullage.spec.fitting import Fitting
from ullage.spec.probe import Probe
from ullage.spec.workload import Workload
from ullage.workloads.comparing import check_files

ANSWERS: Final = (GREEDY, SAMPLES, P_TRUE)
OF_JUDGES: Final = ("judge_by", "verdicts", "judge_system", "judge_template", "judge_unanswerable")
OF_RESULTS: Final = (
    "metrics", "right_from", "unknown", "max_failed", "least_mass", "judge_pattern", "judge_check",
)  # fmt: skip


def check_rejudging(run: RunFolder, before: Workload, after: Workload, base: Path) -> None:
    """Raises InputError where `after` needs other answers than `before` gave, or questions have changed."""
    old, new = own_section(before, Section), own_section(after, Section)
    for name in type(old).model_fields:
        if name not in OF_JUDGES + OF_RESULTS and getattr(old, name) != getattr(new, name):
            raise InputError(
                f"evaluate.{name}: has changed, which needs other answers; use `ullage run` for those"
            )
    if before.roles[GENERATOR] != after.roles.get(GENERATOR):
        raise InputError(
            "roles.generator: has changed, which needs other answers; use `ullage run` for those"
        )
    if captures_of(GENERATOR, before) != captures_of(GENERATOR, after):
        raise InputError("captures: those of the generator have changed; use `ullage run` for new answers")
    if [_asked_of(each) for each in before.probes.values()] != [
        _asked_of(each) for each in after.probes.values()
    ] or before.probes.keys() != after.probes.keys():
        raise InputError("probes: have changed, which needs other answers; use `ullage run` for those")
    check_files(run, before, base)


def _asked_of(probe: Probe) -> tuple[str, Fitting | None, str | None]:
    """What a file says of a probe, without what a plan took from its card or counted."""
    fit = None if probe.fit is None else probe.fit.model_copy(update={"texts": 0})
    return probe.path, fit, probe.role


def copy_kept(run: RunFolder, out: RunFolder, before: Workload, after: Workload) -> None:
    """Copies the lines and journal entries of every stage that `after` would do just as `before` did."""
    copy_stages(run, out, _kept_stages(before, after))


def copy_stages(run: RunFolder, out: RunFolder, stages: Sequence[str]) -> None:
    """Copies the lines and journal entries of stages, and the states they left."""
    entries = [
        entry
        for entry in read_journal(run.path / "journal.jsonl")
        if entry.get("stage") in stages or entry.get("usage") in stages or is_of_fit(entry)
    ]
    for name in [f"{stage}.jsonl" for stage in stages] + [*lines_of_fits(entries), *fitted_files(entries)]:
        if (run.path / name).exists():
            (out.path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(run.path / name, out.path / name)
    for shard in [shard.file for shard in states_of(entries) if shard.file is not None]:
        (out.path / "states").mkdir(exist_ok=True)
        shutil.copyfile(run.path / "states" / shard, out.path / "states" / shard)
    journal = Journal(out.path / "journal.jsonl")
    try:
        for entry in entries:
            journal.append(entry)
    finally:
        journal.close()


def unchanged_judges(before: Workload, after: Workload) -> tuple[str, ...]:
    """Stages of judges whose verdicts on the same answers stand, and of their checks."""
    old, new = own_section(before, Section), own_section(after, Section)
    alike = all(getattr(old, name) == getattr(new, name) for name in OF_JUDGES)
    stand = tuple(name for name in judges(before) if alike and _same(name, before, after))
    return (*map(check_stage, stand if old.judge_check == new.judge_check else ()), *stand)


def _kept_stages(before: Workload, after: Workload) -> tuple[str, ...]:
    others = (name for name in (SIMILARITY, ENTAILMENT) if _same(name, before, after))
    return (*ANSWERS, *unchanged_judges(before, after), *others)


def _same(name: str, before: Workload, after: Workload) -> bool:
    """Whether a role that was there is as it was."""
    role = before.roles.get(name)
    same = role is not None and after.roles.get(name) == role
    return same and captures_of(name, before) == captures_of(name, after)
