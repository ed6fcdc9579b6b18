"""`ullage.calibrate_pii` and `ullage.compare_pii`: what finished verifications of labelled files teach."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final, Literal

from ullage.errors import FormatError, InputError
from ullage.fields import Fields
from ullage.kinds.pii.calibration import Calibration, fit, write_calibration
from ullage.kinds.pii.labels import Labels
from ullage.kinds.pii.paired import paired
from ullage.kinds.pii.results import read_summary
from ullage.kinds.pii.section import VERIFIER
from ullage.kinds.pii.summary import Compared
from ullage.kinds.pii.tally import Tally
from ullage.kinds.pii.verified import read_verified
from ullage.measures.calibration import calibration_error
from ullage.measures.calibration_intervals import error_interval, temperature_interval
from ullage.measures.proportions import f1_interval
from ullage.measures.threshold import pick_threshold
from ullage.records.folder import RunFolder
from ullage.records.manifest import Manifest
from ullage.workloads.wholeness import finished

HELD_OUT: Final = 0.3
"""Of the records whose labels a calibration is measured on."""


def calibrate_pii(
    run_folder: str | Path,
    out: str | Path,
    *,
    by: Literal["precision", "recall", "cost"] | None = None,
    value: float = 0.0,
    held_out: float = HELD_OUT,
) -> Calibration:
    """A temperature, and a threshold where asked, from the labelled candidates of a finished verification.

    What they come to is measured on the share of the records that is `held_out`, the same whenever it is
    called; on the same labels where that is 0. Raises InputError for an unfinished run, for too few labels,
    for a threshold that nothing reaches, and where `out` exists.
    """
    target = Path(out)
    if not 0 <= held_out < 1:
        raise InputError(f"held_out is {held_out}, not a share from 0 to below 1")
    if os.path.lexists(target):
        raise InputError(f"{out}: exists; name another file, nothing is overwritten")
    labels, model, prompt = Labels(), "", ""
    with _finished(run_folder) as held:
        for row in read_verified(held.path):
            model, prompt = row.model, row.prompt
            labels.add(row)
    fitted, rest = labels.split(held_out)
    try:
        found = fit(fitted.margins, fitted.gold, model, prompt)
    except InputError as error:
        if not rest.gold:
            raise
        raise InputError(f"{error}, {len(rest.gold)} held out apart; --held-out 0 holds none out") from error
    if by is not None:
        probabilities = [found.probability(margin) for margin in fitted.margins]
        found = replace(found, threshold=pick_threshold(probabilities, fitted.gold, by, value))
    found = _measured(found, fitted, rest)
    try:
        write_calibration(target, found)
    except FileExistsError as error:
        raise InputError(f"{out}: exists; name another file, nothing is overwritten") from error
    except OSError as error:
        raise InputError(f"{out}: cannot be written: {error.strerror or error}") from error
    return found


def _measured(found: Calibration, fitted: Labels, rest: Labels) -> Calibration:
    """A calibration with what it comes to on `rest`, or on what it was fitted to where there is no rest."""
    on = rest if rest.gold else fitted
    probabilities = [found.probability(margin) for margin in on.margins]
    tally = Tally()
    for probability, gold in zip(probabilities, on.gold, strict=True):
        tally.add("verified" if probability >= found.threshold else "rejected", gold)
    counts = tally.document()
    return replace(
        found,
        held_out=len(rest.gold),
        error_before=calibration_error([Calibration().probability(one) for one in on.margins], on.gold),
        error_after=calibration_error(probabilities, on.gold),
        error_after_interval=error_interval(probabilities, on.gold, on.records),
        temperature_interval=temperature_interval(fitted.margins, fitted.gold, fitted.records),
        precision=counts["precision"],
        precision_interval=counts["precision_interval"],
        recall=counts["recall"],
        recall_interval=counts["recall_interval"],
    )


def compare_pii(folders: Sequence[str | Path]) -> list[Compared]:
    """One row for each finished verification of the same file: model, precision, scores, speed, and how it
    differs from the first (McNemar's exact test).

    Raises InputError for runs that are unfinished, or of other files than the first.
    """
    rows: list[Compared] = []
    files: set[str] = set()
    for folder in folders:
        with _finished(folder) as held:
            manifest = held.manifest()
            plan = Fields(manifest.plan, f"{folder}: is no verification, or was changed")
            files.add(_digest(manifest, plan.inner("settled").inner("pii").text("input")))
            row = _row(str(folder), held, plan)
            if rows and len(files) == 1:
                row["beside_first"] = paired(Path(folders[0]), held.path)
            rows.append(row)
        if len(files) > 1:
            raise InputError(f"{folder}: verified another file than {folders[0]}; they cannot be compared")
    return rows


def _row(name: str, held: RunFolder, plan: Fields) -> Compared:
    found = read_summary(held.path)
    peaks = [measured.process or 0 for measured in held.record().measured]
    roles = plan.inner("roles")
    local = VERIFIER in roles  # a remote model has no weights here
    whole, confusion = found["all"], found["all"]["confusion"]
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
        "precision_interval": whole["precision_interval"],
        "recall_interval": whole["recall_interval"],
        "f1_interval": f1_interval(confusion["right_yes"], confusion["wrong_yes"], confusion["wrong_no"]),
        "labelled": whole["labelled"],
        "beside_first": None,
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
