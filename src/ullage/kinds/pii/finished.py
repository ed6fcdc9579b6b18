"""`ullage.calibrate_pii` and `ullage.compare_pii`: what finished verifications of labelled files teach."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Literal

from ullage.errors import FormatError, InputError
from ullage.fields import Fields
from ullage.kinds.pii.calibration import (
    Calibration,
    fit,
    read_calibration,
    write_calibration,
)
from ullage.kinds.pii.results import read_summary
from ullage.kinds.pii.section import VERIFIER
from ullage.kinds.pii.summary import Compared
from ullage.kinds.pii.verified import read_verified
from ullage.measures.threshold import pick_threshold
from ullage.records.folder import RunFolder
from ullage.records.manifest import Manifest
from ullage.workloads.wholeness import finished


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
        for row in read_verified(held.path):
            model, prompt = row.model, row.prompt
            for candidate in row.candidates:
                if candidate.gold is not None and candidate.margin is not None:
                    margins.append(candidate.margin)
                    gold.append(candidate.gold)
    found = fit(margins, gold, model, prompt)
    if by is not None:
        probabilities = [found.probability(margin) for margin in margins]
        found = replace(found, threshold=pick_threshold(probabilities, gold, by, value))
    try:
        write_calibration(target, found)
    except OSError as error:
        raise InputError(f"{out}: cannot be written: {error.strerror or error}") from error
    return found


def compare_pii(folders: Sequence[str | Path]) -> list[Compared]:
    """One row for each finished verification of the same file: model, precision, scores, speed.

    Raises InputError for runs that are unfinished, or of other files than the first.
    """
    rows: list[Compared] = []
    files: set[str] = set()
    for folder in folders:
        with _finished(folder) as held:
            manifest = held.manifest()
            plan = Fields(manifest.plan, f"{folder}: is no verification, or was changed")
            files.add(_digest(manifest, plan.inner("settled").inner("pii").text("input")))
            rows.append(_row(str(folder), held, plan))
        if len(files) > 1:
            raise InputError(f"{folder}: verified another file than {folders[0]}; they cannot be compared")
    return rows


def _row(name: str, held: RunFolder, plan: Fields) -> Compared:
    found = read_summary(held.path)
    peaks = [measured.process or 0 for measured in held.record().measured]
    roles = plan.inner("roles")
    local = VERIFIER in roles  # a remote model has no weights here
    whole = found["all"]
    return {
        "run": name,
        "model": plan.inner("settled").inner("roles").inner(VERIFIER).text("model"),
        "gpus": plan.text("asked"),
        "weights": roles.inner(VERIFIER).inner("precision").text("storage") if local else "",
        "verified": whole["verified"],
        "rejected": whole["rejected"],
        "failed": whole["failed"],
        "precision": whole["precision"],
        "recall": whole["recall"],
        "f1": whole["f1"],
        "calibration_error": found["calibration"]["expected_calibration_error"],
        "records_per_second": found["records_per_second"],
        "peak_process_bytes": max(peaks, default=0),
    }


def _digest(manifest: Manifest, name: str) -> str:
    """The SHA-256 that file `name` had when the run was begun."""
    return next(one["sha256"] for one in manifest.inputs if one.get("file") == name)


@contextmanager
def _finished(folder: str | Path) -> Iterator[RunFolder]:
    """The folder of a finished verification. Raises FormatError where it is none, or was changed."""
    held = RunFolder(Path(folder))
    finished(held)
    try:
        yield held
    except (KeyError, TypeError, AttributeError, StopIteration) as error:
        raise FormatError(f"{folder}: is no verification, or was changed: {error!r}") from error
