"""`ullage.judge` and `ullage.resample`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ullage.errors import InputError
from ullage.kinds.evaluate.rejudging import check_rejudging, copy_kept
from ullage.kinds.evaluate.resampling import check_resampling, copy_answers
from ullage.kinds.evaluate.section import JUDGE
from ullage.records.folder import RunFolder
from ullage.runtime.opening import Options
from ullage.workloads.comparing import check_files
from ullage.workloads.execution import Begun, execute
from ullage.workloads.recorded import gpus_of_run, workload_of_run
from ullage.workloads.runs import next_folder, plan_here
from ullage.workloads.wholeness import finished

if TYPE_CHECKING:
    from ullage.kinds.evaluate.paired import PairedEvaluations
    from ullage.records.record import Record


def of_judges(roles: Sequence[str]) -> list[str]:
    """Settings of judges, as `judge_b.model=...`, as overrides. Raises InputError for another role's."""
    for each in roles:
        name = each.split(".", 1)[0]
        if "=" not in each or "." not in each:
            raise InputError(f"--role {each}: give a judge's setting, as judge_b.model=NAME")
        if name != JUDGE and not name.startswith(f"{JUDGE}_"):
            raise InputError(
                f"--role {each}: {name} is no judge; judges are called {JUDGE}, or {JUDGE}_ and a name"
            )
    return [f"roles.{each}" for each in roles]


def judge(
    folder: str | Path,
    out: str | Path | None = None,
    overrides: Sequence[str] = (),
    gpus: str | None = None,
    *,
    base: str | Path | None = None,
    download: bool = False,
    quiet: bool = True,
) -> tuple[Path, Record]:
    """Judges the answers of a finished evaluation again, in a new folder; nothing is generated.

    `overrides` change or add judges, as `roles.judge.model=...`; judges they leave alone keep their verdicts.
    `base` is where the run's inputs are now. Raises InputError for changes that need other answers,
    FormatError where anything in the folder was changed.
    """
    held = RunFolder(Path(folder))
    finished(held)
    before, found = workload_of_run(held, base=base)
    if before.kind != "evaluate":
        raise InputError(f"{folder}: is a run of kind {before.kind}; only evaluations are judged")
    after, _ = workload_of_run(held, overrides, base)
    check_rejudging(held, before, after, found)
    made = plan_here(after, gpus or gpus_of_run(held), found)
    target = Path(out) if out is not None else next_folder(after)
    kept = Begun(prepare=lambda new: copy_kept(held, new, before, after))
    return target, execute(made, target, Options(download, quiet), kept)


def resample(
    folder: str | Path,
    samples: int,
    out: str | Path | None = None,
    gpus: str | None = None,
    *,
    base: str | Path | None = None,
    download: bool = False,
    quiet: bool = True,
) -> tuple[Path, Record]:
    """Adds samples to the answers of a finished evaluation until each question has `samples`, in a new
    folder; those that there are stay as they are, and so do greedy answers and verdicts on them.

    `base` is where the run's inputs are now. Raises InputError where there are as many already, and where
    questions have changed, FormatError where anything in the folder was.
    """
    held = RunFolder(Path(folder))
    finished(held)
    before, found = workload_of_run(held, base=base)
    if before.kind != "evaluate":
        raise InputError(f"{folder}: is a run of kind {before.kind}; only evaluations have samples")
    check_resampling(before, samples)
    check_files(held, before, found)
    after, _ = workload_of_run(held, (f"evaluate.samples={samples}",), base)
    made = plan_here(after, gpus or gpus_of_run(held), found)
    target = Path(out) if out is not None else next_folder(after)
    kept = Begun(prepare=lambda new: copy_answers(held, new, before, after))
    return target, execute(made, target, Options(download, quiet), kept)


def compare(first: str | Path, second: str | Path, *, base: str | Path | None = None) -> PairedEvaluations:
    """Two finished evaluations, paired by the ids of their questions: accuracies by McNemar's test, AUROCs by
    their difference with its interval. `base` is where their inputs are now. Raises InputError."""
    from ullage.kinds.evaluate.paired import paired

    return paired(Path(first), Path(second), base)
