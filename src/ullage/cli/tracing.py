"""The command that traces one pass of a workload."""

from __future__ import annotations

from collections.abc import Callable
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
    from ullage.reports.trace_document import trace_document
    from ullage.reports.trace_page import trace_page, write_trace_page

    _check_places(html, snapshot)
    found = api.trace(api.load(file, set_ or ()), role, phase, gpus, base=api.folder_of(file))
    if snapshot is not None:
        _write(_write_snapshot, found, snapshot)
    if html is not None:
        _write(write_trace_page, found, html)
    tell(json, lambda: trace_document(found), lambda: trace_page(found))
    exit_unless(found.shortage is None)


def _check_places(html: Path | None, snapshot: Path | None) -> None:
    """A trace may take minutes, so places where nothing can be written are told before it."""
    for path in (html, snapshot):
        if path is not None and path.is_dir():
            raise InputError(f"{path}: is a folder; give the name of a file in it")
        if path is not None and not path.parent.is_dir():
            raise InputError(f"{path}: cannot be written: there is no folder {path.parent}")
    if html is not None and snapshot is not None and html.resolve() == snapshot.resolve():
        raise InputError(f"{html}: is to be both the page and the snapshot; give them two names")


def _write(write: Callable[[Timeline, Path], None], found: Timeline, path: Path) -> None:
    try:
        write(found, path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror or error}") from error


def _write_snapshot(found: Timeline, path: Path) -> None:
    from ullage.reports.snapshot import write_snapshot

    if not found.acts:
        raise InputError(
            f"{path}: a processor has no allocator whose history a snapshot could hold; give --gpus"
        )
    write_snapshot(found, path)
