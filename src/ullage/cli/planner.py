"""`ullage ui`: a page to play with a file's numbers, and to look at runs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from ullage.cli.door import AllowHost, Host, Port, TokenFile, token_of
from ullage.reports.terminal import Offline


def ui(
    file: Annotated[
        str | None, typer.Argument(metavar="[FILE]", help="A workload file; without one, a small new one.")
    ] = None,
    host: Host = "127.0.0.1",
    port: Port = 8322,
    token_file: TokenFile = None,
    allow_host: AllowHost = None,
    runs: Annotated[
        str | None, typer.Option(metavar="FOLDER", help="Runs to look at; default runs, where that is.")
    ] = None,
    offline: Offline = False,
) -> None:
    from ullage.ui.server import Listening, listen

    folder = Path("runs" if runs is None else runs)
    found = folder if runs is not None or folder.is_dir() else None
    listening = Listening(host, port, token_of(token_file), tuple(allow_host or ()), found)
    listen(
        file, listening, lambda address, _: print(f"the page is at {address}", file=sys.stderr, flush=True)
    )
