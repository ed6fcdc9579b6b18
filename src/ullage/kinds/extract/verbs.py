"""States captured, opened, exported, surveyed: what `ullage` has of them in one call."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from ullage.errors import MissingExtraError
from ullage.kinds.extract.short_form import DEFAULTS, Settings, short_form
from ullage.records.folder import RunFolder
from ullage.workloads.planned import plan
from ullage.workloads.runs import run
from ullage.workloads.wholeness import require_whole

if TYPE_CHECKING:
    from ullage.capture.stored import StoredStates
    from ullage.capture.survey import Survey
    from ullage.records.record import Record


def extract(
    model: str,
    input: str | Path,
    sites: Sequence[str],
    out: str | Path | None = None,
    *,
    download: bool = False,
    quiet: bool = True,
    **settings: Unpack[Settings],
) -> tuple[Path, Record]:
    """The states of every text in `input` at `sites`, stored in `out`: the short form of a run.

    The plan is made for the longest text; `batch` is halved until it fits. Raises InputError for records that
    cannot be read or values a workload file could not hold.
    """
    gpus = settings.get("gpus", DEFAULTS["gpus"])
    workload = short_form(model, str(input), sites, settings, download=download)
    while workload.batch > 1 and plan(workload, gpus, advice=False).verdict == "does not fit":
        workload = workload.model_copy(update={"batch": workload.batch // 2})
    return run(workload, out, gpus, download=download, quiet=quiet)


def open_states(folder: str | Path) -> StoredStates:
    """The states a finished extraction stored.

    Raises FormatError where anything in the folder was changed; of each file of states that is found when the
    first of its states is asked for.
    """
    return _opened(folder, states=False)


def export_states(folder: str | Path, out: str | Path, sites: Sequence[str] = ()) -> list[Path]:
    """Writes the states of a finished run as Parquet files, one row a position, into the new folder `out`:
    `datasets.load_dataset(out)` reads them. All `sites` where none is named; the files.

    Raises InputError where sites keep other positions than one another, FormatError where anything in the
    folder was changed.
    """
    with _extra_run("exporting states"):
        from ullage.capture.export import export

        return export(_opened(folder, states=False), Path(out), sites)


def survey(folder: str | Path) -> Survey:
    """Effective dimension, norms, sparsity and the like of every site a finished extraction stored.

    Raises FormatError where anything in the folder was changed.
    """
    with _extra_run("analysing states"):
        from ullage.capture.survey import survey as survey_states

        return survey_states(_opened(folder, states=True))


def _opened(folder: str | Path, *, states: bool) -> StoredStates:
    held = RunFolder(Path(folder))
    if held.started:
        require_whole(held, states=states)
    with _extra_run("opening states"):
        from ullage.capture.stored import open_states as open_stored

        found = open_stored(folder)
    if held.started and states:
        found.whole.update(found.files)
    return found


@contextmanager
def _extra_run(purpose: str) -> Iterator[None]:
    """Raises MissingExtraError where a package is missing that extra `run` brings."""
    try:
        yield
    except ImportError as error:
        raise MissingExtraError(error.name or "torch", "run", purpose) from error
