"""Personal data: verified, calibrated, compared over models."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ullage.api.runs import resume, run
from ullage.errors import FormatError, InputError, UllageError
from ullage.workloads.planned import plan

if TYPE_CHECKING:
    from ullage.kinds.pii.calibration import Calibration
    from ullage.records.folder import RunFolder
    from ullage.spec.workload import Workload

BATCHES = (64, 32, 16, 8, 4, 2, 1)
"""What `batch: auto` tries, the first that fits."""


def verify_pii(
    model: str,
    input: str | Path,
    output: str | Path,
    *,
    batch: int | Literal["auto"] = "auto",
    precision: str = "nf4",
    engine: str = "transformers",
    gpus: str = "local",
    prompt_tokens: int = 256,
    new_tokens: int = 64,
    examples: int = 1000,
    resumed: bool = False,
    download: bool = False,
    quiet: bool = True,
    **own: Any,
) -> dict[str, Any]:
    """Verifies every candidate of `input` into `output`, JSON lines (or .gz) in input order; the summary.

    Beside out.jsonl, what cannot be decided is in out.failed.jsonl, lines that are no record are in
    out.rejects.jsonl, and out.jsonl.run holds the run. `resumed` goes on with one that was begun and takes a
    finished one as it is. `own` is what the `pii:` part of a file takes; bare types are located unless
    `new_tokens` is 0. Raises InputError where a file would be overwritten, and where a run is resumed with
    other settings or another input than it was begun with.
    """
    from ullage.kinds.pii.results import read_summary
    from ullage.kinds.pii.short_form import short_form
    from ullage.records.folder import RunFolder

    source, target = Path(input).resolve(), Path(output).absolute()
    held = RunFolder(target.with_name(target.name + ".run"))
    targets = _targets(target)
    try:
        there = next((path for path in targets.values() if path.exists()), None)
        begun = held.started
    except OSError as error:
        raise InputError(f"{output}: cannot be written: {error.strerror or error}") from error
    if there is not None and not (resumed and held.complete):
        what = "is the input" if source.exists() and there.samefile(source) else "exists"
        raise InputError(f"{there}: {what}; name another output, nothing is overwritten")
    if begun and not resumed:
        raise InputError(f"{held.path}: holds an interrupted verification; go on with --resume, or remove it")

    def made(size: int) -> Workload:
        role = {"precision": precision, "engine": engine}
        work = {"prompt_tokens": prompt_tokens, "new_tokens": new_tokens, "examples": examples, "batch": size}
        section = {"locate": new_tokens > 0, **own, "input": str(source)}
        return short_form(model, role, work, section)

    if begun:
        _check_same(held, made(1), gpus)
        resume(held.path, download=download, quiet=quiet)
    else:
        sizes = BATCHES if batch == "auto" else (batch,)
        for size in sizes:
            workload = made(size)
            if size == sizes[-1] or plan(workload, gpus, advice=False).verdict != "does not fit":
                break
        run(workload, held.path, gpus, download=download, quiet=quiet)
    for name, path in targets.items():
        kept = held.path / f"{name}.jsonl"
        if not path.exists():
            _private_copy(kept, path)
        elif _content(path) != _content(kept):
            raise InputError(f"{path}: is not what {held.path} wrote; nothing is overwritten")
    return read_summary(held.path)


def _content(path: Path) -> str:
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _targets(output: Path) -> dict[str, Path]:
    """Where each file of a run is copied to; the output last, so that where it is, the others are."""
    stem = output.name.removesuffix(".gz").removesuffix(".jsonl")
    return {
        "failed": output.with_name(f"{stem}.failed.jsonl"),
        "rejects": output.with_name(f"{stem}.rejects.jsonl"),
        "verified": output,
    }


def _check_same(held: RunFolder, made: Workload, gpus: str) -> None:
    """Raises InputError unless a run was begun with the settings and the files that are given now."""
    from ullage.spec.written import workload_text
    from ullage.workloads.execution import inputs_of

    manifest = held.manifest()
    before, now = (_flat(one) for one in (manifest["plan"]["settled"], json.loads(workload_text(made))))
    before["gpus"], now["gpus"] = manifest["plan"]["asked"], gpus
    different = {name for name in before | now if name != "batch" and before.get(name) != now.get(name)}
    shown = ", ".join(sorted(different))
    if different:
        raise InputError(
            f"{held.path}: was begun with other settings ({shown}); give the same, or name another output"
        )
    for old, new in zip(manifest["inputs"], inputs_of(made, Path()), strict=True):
        if old != new:
            name = new.get("file") or new.get("model")
            raise InputError(f"{name}: has changed since {held.path} was begun; name another output")


def _digest(manifest: Mapping[str, Any], name: str) -> str:
    """The SHA-256 that file `name` had when the run was begun."""
    return next(str(one["sha256"]) for one in manifest["inputs"] if one.get("file") == name)


def _flat(document: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in document.items():
        found |= _flat(value, f"{before}{name}.") if isinstance(value, dict) else {before + name: value}
    return found


def _private_copy(source: Path, target: Path) -> None:
    """A copy that its owner alone can read, whole or not at all."""
    from ullage.records.atomic import write_with

    def write(temporary: Path) -> None:
        file = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with source.open("rb") as read, os.fdopen(file, "wb") as written:
            if target.suffix == ".gz":
                with gzip.GzipFile(filename="", mode="wb", fileobj=written, mtime=0) as zipped:
                    shutil.copyfileobj(read, zipped)
            else:
                shutil.copyfileobj(read, written)

    try:
        write_with(target, write, unique=True)
    except OSError as error:
        raise InputError(
            f"{target}: cannot be written: {error.strerror or error}; what was verified is in {source}"
        ) from error


def verify_with_each(
    input: str | Path,
    out: str | Path,
    models: Sequence[str],
    precisions: Sequence[str] = ("nf4",),
    **options: Any,
) -> tuple[list[Path], dict[str, str]]:
    """Verifies `input` with every model in every precision, into folder `out`; options are `verify_pii`'s.

    The runs' folders, for `compare_pii`, and what went wrong with the others. Called again, it takes what is
    finished as it is, and goes on with what was interrupted.
    """
    folder = Path(out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{out}: cannot be made: {error.strerror or error}") from error
    done: list[Path] = []
    wrong: dict[str, str] = {}
    names: set[str] = set()
    for model in models:
        for precision in precisions:
            name = re.sub(r"[^\w.-]+", "-", f"{model}-{precision}").strip("-.")
            while name in names:
                name += "-again"
            names.add(name)
            target = folder / f"{name}.jsonl"
            try:
                verify_pii(model, input, target, precision=precision, resumed=True, **options)
                done.append(target.with_name(target.name + ".run"))
            except UllageError as error:
                wrong[f"{model}, {precision}"] = str(error)
    return done, wrong


def calibrate_pii(
    run_folder: str | Path,
    out: str | Path,
    *,
    by: Literal["precision", "recall", "cost"] | None = None,
    value: float = 0.0,
) -> Calibration:
    """A temperature, and a threshold where asked, from the labelled candidates of a finished verification.

    Raises InputError for an unfinished run, for too few labels, for a threshold that nothing reaches, and
    where `out` is a file that holds anything but a calibration.
    """
    from dataclasses import replace

    from ullage.kinds.pii.calibration import fit, pick_threshold, read_calibration, write_calibration
    from ullage.records.lines import read_lines

    target = Path(out)
    if target.exists():
        try:
            read_calibration(target)
        except FormatError as error:
            raise InputError(f"{out}: exists and is no calibration; name another file") from error
    margins: list[float] = []
    gold: list[bool] = []
    model = prompt = ""
    with _finished(run_folder) as held:
        for row in read_lines(held.path / "verified.jsonl"):
            model, prompt = row["model"], row["prompt"]
            for candidate in row["candidates"]:
                if candidate.get("gold") is not None and "margin" in candidate:
                    margins.append(candidate["margin"])
                    gold.append(candidate["gold"])
    found = fit(margins, gold, model, prompt)
    if by is not None:
        probabilities = [found.probability(margin) for margin in margins]
        found = replace(found, threshold=pick_threshold(probabilities, gold, by, value))
    try:
        write_calibration(target, found)
    except OSError as error:
        raise InputError(f"{out}: cannot be written: {error.strerror or error}") from error
    return found


def compare_pii(folders: Sequence[str | Path]) -> list[dict[str, Any]]:
    """One row for each finished verification of the same file: model, precision, scores, speed.

    Raises InputError for runs that are unfinished, or of other files than the first.
    """
    from ullage.kinds.pii.results import read_summary

    rows = []
    files: set[str] = set()
    for folder in folders:
        with _finished(folder) as held:
            manifest, record = held.manifest(), held.record()
            section = manifest["plan"]["settled"]
            files.add(_digest(manifest, section["pii"]["input"]))
            found = read_summary(held.path)
            roles = manifest["plan"]["roles"]
            weights = roles["verifier"]["precision"]["storage"] if "verifier" in roles else ""
            peaks = [measured["process"] or 0 for measured in record["measured"]]
            rows.append(
                {
                    "run": str(folder),
                    "model": section["roles"]["verifier"]["model"],
                    "gpus": manifest["plan"]["asked"],
                    "weights": weights,
                    **{name: found["all"][name] for name in ("verified", "rejected", "failed")},
                    **{name: found["all"][name] for name in ("precision", "recall", "f1")},
                    "calibration_error": found["calibration"]["expected_calibration_error"],
                    "records_per_second": found["records_per_second"],
                    "peak_process_bytes": max(peaks, default=0),
                }
            )
        if len(files) > 1:
            raise InputError(f"{folder}: verified another file than {folders[0]}; they cannot be compared")
    return rows


@contextmanager
def _finished(folder: str | Path) -> Iterator[RunFolder]:
    """The folder of a finished verification. Raises FormatError where it is none, or was changed."""
    from ullage.records.folder import RunFolder

    held = RunFolder(Path(folder))
    held.record()
    try:
        yield held
    except (KeyError, TypeError, AttributeError, StopIteration) as error:
        raise FormatError(f"{folder}: is no verification, or was changed: {error!r}") from error
