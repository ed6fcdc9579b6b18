"""`ullage evidence`: what past runs left, what follows from it, and its removal."""

from __future__ import annotations

from typing import Annotated

import typer


def evidence(
    clear: Annotated[bool, typer.Option("--clear", help="Remove it, and say what was removed.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print a JSON document instead.")] = False,
) -> None:
    """What past runs measured here, and what plans take from it."""
    from ullage import api
    from ullage.cli import render
    from ullage.reports.evidence_page import evidence_document, show_cleared, show_evidence

    found = api.clear_evidence() if clear else api.evidence()
    if json:
        return render.document(evidence_document(found, cleared=clear))
    if clear:
        return show_cleared(found, render.console())
    return show_evidence(found, render.console())
