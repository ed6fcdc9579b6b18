"""`ullage ui`: a page to play with a file's numbers, and to look at runs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from ullage.cli.serving import TOKEN, _token
from ullage.reports.terminal import Offline


def ui(
    file: Annotated[
        str | None, typer.Argument(metavar="[FILE]", help="A workload file; without one, a small new one.")
    ] = None,
    host: Annotated[
        str, typer.Option(help="The address to listen at; others than loopback need a token.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0 takes a free one.")] = 8322,
    token_file: Annotated[
        str | None, typer.Option(metavar="FILE", help=f"Has the token; else {TOKEN} has it.")
    ] = None,
    allow_host: Annotated[
        list[str] | None, typer.Option("--allow-host", help="A name it goes by; may be repeated.")
    ] = None,
    runs: Annotated[
        str | None, typer.Option(metavar="FOLDER", help="Runs to look at; default runs, where that is.")
    ] = None,
    offline: Offline = False,
) -> None:
    from ullage.ui.server import Listening, listen

    folder = Path("runs" if runs is None else runs)
    found = folder if runs is not None or folder.is_dir() else None
    listening = Listening(host, port, _token(token_file), tuple(allow_host or ()), found)
    listen(
        file, listening, lambda address, _: print(f"the page is at {address}", file=sys.stderr, flush=True)
    )
