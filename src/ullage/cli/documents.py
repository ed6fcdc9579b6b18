"""Commands for documents about what workloads need: claims in them audited, true ones written."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ullage.errors import InputError
from ullage.reports.terminal import DOES_NOT_FIT, FAILED, Json, Offline, Sets, tell
from ullage.text import visible


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
    from ullage.reports.audit_document import audit_document
    from ullage.reports.audit_page import audit_page, check_is_audit

    found = api.audit(file)
    if html is not None:
        from ullage.records.atomic import write_text
        from ullage.reports.pages.html import html as as_html

        check_is_audit(Path(html))
        try:
            write_text(Path(html), as_html(audit_page(found, everything=True, exact=True)), unique=True)
        except OSError as error:
            raise InputError(f"{html}: cannot be written: {error.strerror or error}") from error
    tell(json, lambda: audit_document(found), lambda: audit_page(found, everything=all_))
    if found.of("wrong"):
        raise typer.Exit(DOES_NOT_FIT)
    if found.undecided:
        raise typer.Exit(FAILED)


def guide(
    files: Annotated[list[str], typer.Argument(metavar="FILE...", help="Workload files, YAML or JSON.")],
    out: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Where to write it: .md, .html or .json; without it, printed."),
    ] = None,
    json: Json = False,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; say which lines of --out are no longer true.")
    ] = False,
    set_: Sets = None,
    offline: Offline = False,
) -> None:
    from ullage import api

    if not check:
        text = api.guide(files, out, set_ or (), json=json)
        typer.echo(text if out is None else out, nl=out is not None)
        return
    if json:
        raise InputError("--check holds a committed guide as its name says: leave --json")
    if out is None:
        raise InputError("--check holds a committed guide against its files: name it with --out")
    found = api.check_guide(files, out, set_ or ())
    for each in found:
        for at, line in enumerate(each.are):
            typer.echo(f"{out}:{each.line + at}: - {visible(line)}")
        for line in each.computed:
            typer.echo(f"{out}:{each.line}: + {visible(line)}")
    if found:
        wrong = sum(len(each.are) or 1 for each in found)
        typer.echo(f"{out}: {wrong} {'line is' if wrong == 1 else 'lines are'} not what is computed")
        raise typer.Exit(FAILED)
