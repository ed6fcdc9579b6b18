"""Personal data: verified, calibrated, compared over models."""

from __future__ import annotations

import gzip
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ullage.api.planning import plan
from ullage.api.runs import resume, run
from ullage.errors import InputError, UllageError

if TYPE_CHECKING:
    from ullage.workloads.pii.calibration import Calibration

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
    out.rejects.jsonl, and out.jsonl.run holds the run, from which an interrupted one goes on (`resumed`).
    `own` is what the `pii:` part of a file takes; bare types are located unless `new_tokens` is 0. Raises
    InputError where output and input are the same file, or output exists.
    """
    from ullage.workloads.pii.results import summary
    from ullage.workloads.pii.short_form import short_form

    source, target = Path(input).absolute(), Path(output).absolute()
    if source.exists() and target.exists() and source.samefile(target):
        raise InputError(f"{output}: is the input; name another file, nothing is overwritten")
    if target.exists():
        raise InputError(f"{output}: exists; name another file, nothing is overwritten")
    folder = target.with_name(target.name + ".run")
    if folder.exists() and not resumed:
        raise InputError(f"{folder}: holds an interrupted verification; go on with --resume, or remove it")
    if resumed:
        resume(folder, download=download, quiet=quiet)
    else:
        words = {"precision": precision, "engine": engine}
        work = {"prompt_tokens": prompt_tokens, "new_tokens": new_tokens, "examples": examples}
        own = {"locate": new_tokens > 0, **own}
        sizes = BATCHES if batch == "auto" else (batch,)
        for size in sizes:
            workload = short_form(model, words, {**work, "batch": size}, {**own, "input": str(source)})
            if size == sizes[-1] or plan(workload, gpus, advice=False).verdict != "does not fit":
                break
        run(workload, folder, gpus, download=download, quiet=quiet)
    stem = target.name.removesuffix(".gz").removesuffix(".jsonl")
    for name, path in (
        ("failed", target.with_name(f"{stem}.failed.jsonl")),
        ("rejects", target.with_name(f"{stem}.rejects.jsonl")),
        ("verified", target),
    ):
        _private_copy(folder / f"{name}.jsonl", path)
    return summary(folder)


def _private_copy(source: Path, target: Path) -> None:
    """A copy that its owner alone can read, whole or not at all."""
    temporary = target.with_name(target.name + ".tmp")
    temporary.touch(0o600)
    zipped = target.suffix == ".gz"
    with source.open("rb") as read, gzip.open(temporary, "wb") if zipped else temporary.open("wb") as write:
        shutil.copyfileobj(read, write)
    temporary.replace(target)


def calibrate_pii(
    run_folder: str | Path,
    out: str | Path,
    *,
    by: Literal["precision", "recall", "cost"] | None = None,
    value: float = 0.0,
) -> Calibration:
    """A temperature, and a threshold where asked, from the labelled candidates of a finished verification."""
    from dataclasses import replace

    from ullage.records.lines import read_lines
    from ullage.workloads.pii.calibration import fit, pick_threshold, write_calibration

    margins: list[float] = []
    gold: list[bool] = []
    model = prompt = ""
    for row in read_lines(Path(run_folder) / "verified.jsonl"):
        model, prompt = row["model"], row["prompt"]
        for candidate in row["candidates"]:
            if candidate.get("gold") is not None and "margin" in candidate:
                margins.append(candidate["margin"])
                gold.append(candidate["gold"])
    found = fit(margins, gold, model, prompt)
    if by is not None:
        probabilities = [found.probability(margin) for margin in margins]
        found = replace(found, threshold=pick_threshold(probabilities, gold, by, value))
    write_calibration(Path(out), found)
    return found


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
    folder.mkdir(parents=True, exist_ok=True)
    done, wrong = [], {}
    for model in models:
        for precision in precisions:
            name = re.sub(r"[^\w.-]+", "-", f"{model}-{precision}").strip("-")
            target = folder / f"{name}.jsonl"
            run_folder = target.with_name(target.name + ".run")
            try:
                if not target.exists():
                    begun = run_folder.exists()
                    verify_pii(model, input, target, precision=precision, resumed=begun, **options)
                done.append(run_folder)
            except UllageError as error:
                wrong[name] = str(error)
    return done, wrong


def compare_pii(folders: Sequence[str | Path]) -> list[dict[str, Any]]:
    """One row for each finished verification of the same file: model, precision, scores, speed."""
    from ullage.records.folder import RunFolder
    from ullage.workloads.pii.results import summary

    rows = []
    for folder in folders:
        held = RunFolder(Path(folder))
        manifest, record = held.manifest(), held.record()
        found = summary(held.path)
        peaks = [measured["process"] or 0 for measured in record["measured"]]
        decision = next(d for d in manifest["plan"]["decisions"] if d["subject"] == "verifier precision")
        rows.append(
            {
                "run": str(folder),
                "gpus": manifest["gpus"],
                "weights": decision["choice"].removeprefix("weights ").split(",")[0],
                **{name: found["all"][name] for name in ("verified", "rejected", "failed")},
                **{name: found["all"][name] for name in ("precision", "recall", "f1")},
                "calibration_error": found["calibration"]["expected_calibration_error"],
                "records_per_second": found["records_per_second"],
                "peak_process_bytes": max(peaks, default=0),
            }
        )
    return rows
