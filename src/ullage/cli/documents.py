"""Commands for documents about what workloads need: claims in them audited, true ones written."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ullage.reports.terminal import DOES_NOT_FIT, FAILED, Json, Offline, tell


def audit(
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="A file of claims, YAML or JSON; with --draft a document.")
    ],
    json: Json = False,
    all_: Annotated[bool, typer.Option("--all", help="List those that are right or rounded too.")] = False,
    html: Annotated[
        str | None, typer.Option(metavar="FILE", help="Write the whole page as one file of HTML.")
    ] = None,
    draft: Annotated[
        bool, typer.Option("--draft", help="Propose claims found in the tables of a Markdown document.")
    ] = False,
    offline: Offline = False,
) -> None:
    from ullage import api

    if draft:
        typer.echo(api.draft_claims(file), nl=False)
        return
    from ullage.reports.audit_page import audit_document, audit_page
    from ullage.reports.pages.screen import show_page

    found = api.audit(file)
    if html is not None:
        from ullage.records.atomic import write_text
        from ullage.reports.pages.html import html as as_html

        write_text(Path(html), as_html(audit_page(found, everything=True, exact=True)))
    tell(
        json,
        lambda: audit_document(found),
        lambda console: show_page(audit_page(found, everything=all_), console),
    )
    if found.of("wrong"):
        raise typer.Exit(DOES_NOT_FIT)
    if found.undecided:
        raise typer.Exit(FAILED)
