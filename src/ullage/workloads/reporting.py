"""The pages and tables of runs whose work is done."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from ullage.errors import MissingExtraError, MissingPackageError, UnsupportedError
from ullage.records.folder import RunFolder
from ullage.records.inventory import with_files
from ullage.records.record import Record
from ullage.runtime.session import Session
from ullage.spec.workload import Workload
from ullage.workloads.comparing import check_files
from ullage.workloads.recorded import workload_of_run
from ullage.workloads.registry import find_kind
from ullage.workloads.wholeness import finished


def report(workload: Workload, run: RunFolder, base: Path, record: Record) -> tuple[Path, ...]:
    """Writes the pages and tables of a run whose work is done; their paths.

    Raises UnsupportedError for a kind that has none, MissingExtraError where its tables need what is missing.
    """
    reporter = find_kind(workload.kind).reporter
    if not reporter:
        raise UnsupportedError(
            f"kind {workload.kind} has no report; see `ullage verify` and `ullage analyse`"
        )
    try:
        written: tuple[Path, ...] = import_module(reporter).report(run, workload, base, record)
    except ModuleNotFoundError as error:
        raise MissingExtraError(error.name or "pyarrow", "run", "the report") from error
    return written


def report_anew(run: RunFolder, base: Path | None = None) -> tuple[Path, ...]:
    """Writes a finished run's pages and tables anew; their paths. `base` is where its inputs are now.

    Raises FormatError where anything but these pages was changed, InputError where an input was.
    """
    record = finished(run, pages=False)
    workload, found = workload_of_run(run, base=base)
    check_files(run, workload, found)
    with run.lock():
        written = report(workload, run, found, record)
        run.write_record(record, with_files(run.inventory(), run.path, written))
    return written


def report_anyway(session: Session, record: Record) -> None:
    """Pages and tables of work that is done; where they cannot be written, that is said and costs nothing."""
    run = session.folder
    try:
        report(session.workload, run, session.plan.base, record)
    except (OSError, UnicodeError, MissingPackageError) as error:
        said = getattr(error, "strerror", None) or error
        session.say(
            f"{run.path}: its report cannot be written: {said}; `ullage report {run.path}` does it later"
        )
