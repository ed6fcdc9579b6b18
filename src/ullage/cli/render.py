"""From a result to the terminal, or to JSON, with the exit code it means."""

from __future__ import annotations

import json as json_
import sys
from typing import TYPE_CHECKING, Any

import typer

from ullage.cli.main import DOES_NOT_FIT

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

    from ullage.capture.survey import Survey
    from ullage.facts.architecture import Model
    from ullage.facts.gpu import GpuSet
    from ullage.kinds.pii.calibration import Calibration
    from ullage.planning.advice import Outcome
    from ullage.planning.plan import Plan
    from ullage.records.record import Record
    from ullage.records.verification import Verification
    from ullage.reports.sweep_page import Row
    from ullage.workloads.execution import Checked


def console() -> Console:
    """Colours and width of the terminal; plain text elsewhere."""
    from rich.console import Console

    return Console(highlight=False, markup=False, emoji=False)


def document(value: Any) -> None:
    json_.dump(value, sys.stdout, indent=1)
    sys.stdout.write("\n")


def plan(found: Plan, json: bool, items: bool, kind: str = "plan") -> None:
    if json:
        from ullage.reports.document import plan_document

        document(plan_document(found, kind))
    else:
        from ullage.reports.plan_page import show_plan

        show_plan(found, console(), items=items)
    if found.verdict == "does not fit":
        raise typer.Exit(DOES_NOT_FIT)


def run(folder: Path, record: Record, json: bool) -> None:
    from ullage.records.record import record_document

    if json:
        document({"document": "record", "version": 1, "folder": str(folder), **record_document(record)})
    else:
        from ullage.reports.run_page import show_run

        show_run(folder, record, console())


def check(found: Checked, json: bool) -> None:
    from dataclasses import asdict

    if json:
        document({"document": "check", "version": 1, **asdict(found)})
    else:
        from ullage.reports.run_page import show_check

        show_check(found.device_maps, found.measured, console())


def verification(found: Verification, json: bool) -> None:
    """Exits with 3 when something took more than its high value."""
    from ullage.reports.verification_page import show_verification, verification_document

    if json:
        document(verification_document(found))
    else:
        show_verification(found, console())
    if not found.holds:
        raise typer.Exit(DOES_NOT_FIT)


def survey(found: Survey, json: bool) -> None:
    from ullage.capture.survey import survey_document
    from ullage.reports.survey_page import show_survey

    value = survey_document(found)
    if json:
        document(value)
    else:
        show_survey(value, console())


def rows(found: list[Row], json: bool) -> None:
    """A sweep; exits with 3 when no value fits."""
    from ullage.reports.document import header
    from ullage.reports.sweep_page import show_sweep, sweep_rows

    if json:
        document({**header("sweep"), "rows": sweep_rows(found)})
    else:
        show_sweep(found, console())
    if all(row.plan.verdict == "does not fit" for row in found):
        raise typer.Exit(DOES_NOT_FIT)


def gpu_sets(found: list[tuple[GpuSet, Outcome]], json: bool) -> None:
    from ullage.reports.document import header, interval
    from ullage.reports.model_page import show_gpu_sets

    if json:
        sets = [
            {
                "gpus": gpus.name,
                "verdict": outcome.verdict,
                "peak": interval(outcome.peak),
                "seconds_per_1000_examples": outcome.seconds_per_1000,
                "usd_per_1000_examples": outcome.usd_per_1000,
            }
            for gpus, outcome in found
        ]
        document({**header("gpu-sets"), "sets": sets})
    else:
        show_gpu_sets(found, console())
    if not found:
        raise typer.Exit(DOES_NOT_FIT)


def cards(json: bool) -> None:
    from ullage.facts.gpu import find_gpu, gpu_names
    from ullage.facts.price import prices_of
    from ullage.reports.document import header, interval
    from ullage.reports.model_page import show_gpus

    known = [find_gpu(name) for name in gpu_names()]
    priced = [(gpu, next(iter(prices_of(gpu.id)), None)) for gpu in known]
    if not json:
        return show_gpus(priced, console())
    listed = [
        {
            "name": gpu.id,
            "usable": interval(gpu.usable),
            "basis": gpu.usable_basis,
            "bandwidth_bytes_per_second": gpu.bandwidth,
            "flops_per_second": None if gpu.operations is None else gpu.operations.per_second,
            "flops_basis": None if gpu.operations is None else gpu.operations.basis,
            "can": gpu.abilities.names,
            "usd_per_hour": None if price is None else price.low,
            "price_as_of": None if price is None else price.as_of,
        }
        for gpu, price in priced
    ]
    return document({**header("gpus"), "gpus": listed})


def model(found: Model, json: bool) -> None:
    from ullage.reports.document import model_document
    from ullage.reports.model_page import show_model

    if json:
        document(model_document(found))
    else:
        show_model(found, console())


def models(found: list[Model], json: bool) -> None:
    from ullage.reports.document import header, model_document
    from ullage.reports.model_page import show_models

    if json:
        document({**header("models"), "models": [model_document(each) for each in found]})
    else:
        show_models(found, console())


def pii_summary(found: dict[str, Any], json: bool) -> None:
    if json:
        return document({"document": "pii", "version": 1, **found})
    from ullage.reports.pii_page import show_summary

    return show_summary(found, console())


def pii_comparison(found: list[dict[str, Any]], json: bool) -> None:
    if json:
        return document({"document": "pii-comparison", "version": 1, "runs": found})
    from ullage.reports.pii_page import show_comparison

    return show_comparison(found, console())


def calibration(found: Calibration, json: bool) -> None:
    from dataclasses import asdict

    if json:
        return document({"document": "calibration", "version": 1, **asdict(found)})
    from ullage.reports.pii_page import show_calibration

    return show_calibration(asdict(found), console())
