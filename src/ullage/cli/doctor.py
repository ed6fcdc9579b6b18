"""`ullage doctor`: what this machine has, what is wrong, and whether a file can be run here."""

from __future__ import annotations

from typing import Annotated

import typer

from ullage.errors import InputError
from ullage.reports.terminal import FAILED, Json, Sets, Where, exit_unless, tell


def doctor(
    file: Annotated[
        str | None, typer.Argument(metavar="[FILE]", help="A workload file, or a plan's JSON.")
    ] = None,
    gpus: Where = None,
    set_: Sets = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Import no library and measure nothing: versions alone.")
    ] = False,
    json: Json = False,
) -> None:
    from ullage import api
    from ullage.reports.doctor_document import diagnosis_document
    from ullage.reports.doctor_page import doctor_page

    if file is None and set_:
        raise InputError(f"--set {set_[0]}: changes a workload file; give the FILE as well")
    asked = None if file is None else api.read_file(file, set_ or ())
    found = api.doctor(asked, gpus, base=None if file is None else api.folder_of(file), quick=quick)
    tell(json, lambda: diagnosis_document(found), lambda: doctor_page(found))
    if found.file is not None:
        if not found.file.runs:
            raise typer.Exit(FAILED)
        exit_unless(found.file.fits)
