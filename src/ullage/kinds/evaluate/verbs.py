"""`ullage.judge`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ullage.errors import InputError
from ullage.kinds.evaluate.rejudging import check_rejudging, copy_kept
from ullage.kinds.evaluate.section import JUDGE
from ullage.records.folder import RunFolder
from ullage.runtime.opening import Options
from ullage.workloads.execution import Begun, execute
from ullage.workloads.runs import gpus_of_run, next_folder, plan_here, workload_of_run
from ullage.workloads.wholeness import finished

if TYPE_CHECKING:
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
