"""`ullage evidence`: what past runs left, what follows from it, and its removal."""

from __future__ import annotations

from typing import Annotated

import typer

from ullage.reports.terminal import Json, tell


def evidence(
    clear: Annotated[bool, typer.Option("--clear", help="Remove it, and say what was removed.")] = False,
    json: Json = False,
) -> None:
    from ullage import api
    from ullage.reports.evidence_document import evidence_document
    from ullage.reports.evidence_page import cleared_page, evidence_page

    found = api.clear_evidence() if clear else api.evidence()
    page = cleared_page if clear else evidence_page
    tell(json, lambda: evidence_document(found, cleared=clear), lambda: page(found))
