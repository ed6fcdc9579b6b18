from typing import Annotated

import typer

from ullage.reports.run_page import run_document, run_page
from ullage.reports.terminal import Json, Quiet, tell


def recite(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A text.")],
    model: Annotated[str, typer.Option(help="A folder, or a name.")],
    out: Annotated[str, typer.Option(help="A new folder.")],
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    from ullage_recite import verbs

    folder, record = verbs.recite(model, file, out, quiet=quiet)
    tell(json, lambda: run_document(folder, record), lambda: run_page(folder, record))
