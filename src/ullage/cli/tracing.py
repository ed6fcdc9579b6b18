"""The command that traces one pass of a workload."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ullage.errors import InputError
from ullage.reports.terminal import Json, Offline, Sets, exit_unless, tell

if TYPE_CHECKING:
    from ullage.memory.timeline import Timeline

Out = Annotated[Path | None, typer.Option("--html", metavar="OUT", help="Write a page: bytes over time.")]
Snapshot = Annotated[
    Path | None,
    typer.Option("--snapshot", metavar="OUT", help="Write what pytorch.org/memory_viz reads."),
]


def trace(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A workload file, YAML or JSON.")],
    role: Annotated[str | None, typer.Option(help="Whose pass; else the fullest.")] = None,
    phase: Annotated[
        str | None, typer.Option(help="A phase's name, or prefill, decode, backward, train.")
    ] = None,
    gpus: Annotated[str | None, typer.Option(help="As 1xA100-80GB, '(24GiB, sm86)', or cpu.")] = None,
    html: Out = None,
    snapshot: Snapshot = None,
    json: Json = False,
    set_: Sets = None,
    offline: Offline = False,
) -> None:
    from ullage import api
    from ullage.reports.trace_page import show_trace, trace_document, write_trace_page

    found = api.trace(api.load(file, set_ or ()), role, phase, gpus, base=api.folder_of(file))
    try:
        if html is not None:
            write_trace_page(found, html)
        if snapshot is not None:
            _write_snapshot(found, snapshot)
    except OSError as error:
        raise InputError(
            f"{error.filename or html or snapshot}: cannot be written: {error.strerror}"
        ) from error
    tell(json, lambda: trace_document(found), lambda console: show_trace(found, console))
    exit_unless(found.shortage is None)


def _write_snapshot(found: Timeline, path: Path) -> None:
    from ullage.reports.snapshot import write_snapshot

    if not found.acts:
        raise InputError(
            f"{path}: a processor has no allocator whose history a snapshot could hold; give --gpus"
        )
    write_snapshot(found, path)
