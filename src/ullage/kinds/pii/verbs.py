"""`ullage.verify_pii` and `ullage.verify_with_each`: personal data verified, by one model or by several."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from ullage.errors import FormatError, InputError, UllageError
from ullage.facts.bundled import TINY, local_path
from ullage.kinds.pii.begun import check_same
from ullage.kinds.pii.outputs import check_free, copy_out
from ullage.kinds.pii.pipes import STANDARD_INPUT, read_once
from ullage.kinds.pii.results import read_summary, summary
from ullage.kinds.pii.short_form import BATCHES, DEFAULTS, Settings, short_form
from ullage.records.folder import RunFolder
from ullage.workloads.planned import plan
from ullage.workloads.runs import resume, run

if TYPE_CHECKING:
    from ullage.kinds.pii.summary import Summary
    from ullage.spec.workload import Workload


def verify_pii(
    model: str,
    input: str | Path,
    output: str | Path,
    *,
    resumed: bool = False,
    anyway: bool = False,
    download: bool = False,
    quiet: bool = True,
    verbose: bool = False,
    **settings: Unpack[Settings],
) -> Summary:
    """Verifies every candidate of `input` into `output`, JSON lines (or .gz) in input order; the summary.

    "-" is standard input, which is read once, as a pipe is, and not resumed. Beside out.jsonl, what cannot be
    decided is in out.failed.jsonl, lines that are no record are in out.rejects.jsonl, and out.jsonl.run holds
    the run. `resumed` goes on with one that was begun and takes a
    finished one as it is. Bare types are located unless `new_tokens` is 0. Raises InputError where a file
    would be overwritten, and where a run is resumed with other settings or another input than it was begun
    with, or (unless `anyway`) with another model, version or number of threads. What the run's folder holds
    is found from the input's folder: both can be moved.
    """
    piped = read_once(str(input))
    source, target = (Path(input) if piped else Path(input).resolve()), Path(output).absolute()
    held = RunFolder(target.with_name(target.name + ".run"))
    model = str(Path(model).absolute()) if local_path(model).exists() and model != TINY else model
    given: Settings = {**DEFAULTS, **settings}
    if (types := given.get("types")) is not None:
        given["types"] = str(Path(types).absolute())
    if (calibration := given.get("calibration")) is not None:
        given["calibration"] = str(Path(calibration).absolute())
    begun = check_free(target, source, held, resumed=resumed)
    base = Path.cwd() if str(input) == STANDARD_INPUT else source.absolute().parent
    if begun and piped and not held.complete:
        raise InputError(f"{held.path}: a pipe is read once: a run of it cannot be resumed; remove it")
    if begun:
        check_same(held, short_form(model, source, given, 1), given["gpus"], base)
        resume(held.path, base=base, anyway=anyway, download=download, quiet=quiet, verbose=verbose)
    else:
        made = _fitting(model, source, given)
        run(made, held.path, given["gpus"], base=base, download=download, quiet=quiet, verbose=verbose)
    copy_out(held, target)
    try:
        return read_summary(held.path)
    except FormatError:  # the report could not be written, which costs the verification nothing
        return summary(held.path)


def _fitting(model: str, source: Path, given: Settings) -> Workload:
    """In the batch that was asked for; under `auto` in the largest that the plan fits, else in the least."""
    batch = given["batch"]
    if batch != "auto":
        return short_form(model, source, given, batch)
    for size in BATCHES[:-1]:
        workload = short_form(model, source, given, size)
        if plan(workload, given["gpus"], advice=False).verdict != "does not fit":
            return workload
    return short_form(model, source, given, BATCHES[-1])


def verify_with_each(
    input: str | Path,
    out: str | Path,
    models: Sequence[str],
    precisions: Sequence[str] = ("nf4",),
    *,
    download: bool = False,
    quiet: bool = True,
    **settings: Unpack[Settings],
) -> tuple[list[Path], dict[str, str]]:
    """Verifies `input` with every model in every precision, into folder `out`; settings are `verify_pii`'s.

    The runs' folders, for `compare_pii`, and what went wrong with the others. Called again, it takes what is
    finished as it is, and goes on with what was interrupted.
    """
    if read_once(str(input)):
        raise InputError(f"{input}: a pipe is read once, and every model reads the input; name a file")
    folder = Path(out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{out}: cannot be made: {error.strerror or error}") from error
    done: list[Path] = []
    wrong: dict[str, str] = {}
    names: set[str] = set()
    for model, precision in [(model, precision) for model in models for precision in precisions]:
        name = re.sub(r"[^\w.-]+", "-", f"{model}-{precision}").strip("-.")
        while name in names:
            name += "-again"
        names.add(name)
        target = folder / f"{name}.jsonl"
        own: Settings = {**settings, "precision": precision}
        try:
            verify_pii(model, input, target, resumed=True, download=download, quiet=quiet, **own)
            done.append(target.with_name(target.name + ".run"))
        except UllageError as error:
            wrong[f"{model}, {precision}"] = str(error)
    return done, wrong
