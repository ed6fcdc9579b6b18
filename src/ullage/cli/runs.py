"""Commands about runs: begun, taken up, tried out, compared with their plans, reported anew."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ullage.errors import InputError
from ullage.reports.terminal import Download, Json, Quiet, Sets, Where, exit_unless, tell

if TYPE_CHECKING:
    from ullage.planning.plan import Plan

File = Annotated[str, typer.Argument(metavar="FILE", help="A workload file.")]
Run = Annotated[str, typer.Argument(metavar="RUN", help="The folder of a finished run.")]


def run(
    file: Annotated[
        str | None, typer.Argument(metavar="[FILE]", help="A workload file, or a plan's JSON.")
    ] = None,
    out: Annotated[str | None, typer.Option(help="A new folder; default runs/KIND-N.")] = None,
    resume: Annotated[str | None, typer.Option(metavar="RUN", help="Go on with a run cut short.")] = None,
    gpus: Where = None,
    set_: Sets = None,
    anyway: Annotated[bool, typer.Option("--anyway", help="Even if the plan does not fit.")] = False,
    snapshot: Annotated[bool, typer.Option("--snapshot", help="Record torch's allocator (GPUs).")] = False,
    download: Download = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    from ullage import api
    from ullage.reports.run_page import run_document, show_run

    if (file is None) == (resume is None):
        raise InputError("give a workload FILE to run, or --resume RUN to go on with one")
    if resume is not None:
        folder, record = Path(resume), api.resume(resume, download=download, quiet=quiet)
    else:
        assert file is not None
        made = _made(file, gpus, set_ or ())
        options = {"download": download, "quiet": quiet, "anyway": anyway, "snapshot": snapshot}
        folder, record = api.run_plan(made, out, **options)
    tell(json, lambda: run_document(folder, record), lambda console: show_run(folder, record, console))


def _made(file: str, gpus: str | None, sets: Sequence[str]) -> Plan:
    """The plan in `file`, or that of the workload in it."""
    from ullage import api
    from ullage.planning.plan import Plan

    found = api.read_file(file, sets)
    if not isinstance(found, Plan):
        return api.plan_here(found, gpus, api.folder_of(file))
    if gpus:
        raise InputError(f"{file}: is a plan already; --gpus and --set change a workload file")
    return found


def check(
    file: File, gpus: Where = None, set_: Sets = None, download: Download = False, json: Json = False
) -> None:
    from ullage import api
    from ullage.reports.run_page import check_document, show_check

    found = api.check(api.load(file, set_ or ()), gpus, base=api.folder_of(file), download=download)
    tell(
        json,
        lambda: check_document(found.device_maps, found.measured),
        lambda console: show_check(found.device_maps, found.measured, console),
    )


def verify(folder: Run, json: Json = False) -> None:
    from ullage import api
    from ullage.reports.verification_page import show_verification, verification_document

    found = api.verify(folder)
    tell(json, lambda: verification_document(found), lambda console: show_verification(found, console))
    exit_unless(found.holds)


def report(folder: Run) -> None:
    from ullage import api

    for path in api.report(folder):
        print(path)
