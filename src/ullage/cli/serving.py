"""`ullage serve`: a file's roles behind OpenAI's protocol."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from ullage.errors import InputError
from ullage.reports.terminal import Download, Offline, Quiet, Sets, Verbose, Where

TOKEN: Final = "ULLAGE_TOKEN"
"""The environment variable with the token: on a command line all of a machine's users would read it."""


def serve(
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="A workload file, or the JSON of a served plan.")
    ],
    host: Annotated[
        str, typer.Option(help="The address to listen at; others than loopback need a token.")
    ] = ("127.0.0.1"),
    port: Annotated[int, typer.Option(help="0 takes a free one.")] = 8321,
    token_file: Annotated[
        str | None, typer.Option(metavar="FILE", help=f"Has the bearer token; else {TOKEN} has it.")
    ] = None,
    allow_host: Annotated[
        list[str] | None, typer.Option("--allow-host", help="A name it goes by; may be repeated.")
    ] = None,
    queue: Annotated[int, typer.Option(help="Requests that may wait; one more is told to come again.")] = 128,
    time_limit: Annotated[float, typer.Option(help="Seconds that an answer may take.")] = 600.0,
    drain: Annotated[float, typer.Option(help="Seconds for those who are there when it ends.")] = 30.0,
    largest: Annotated[str, typer.Option(help="Of a body.")] = "64MiB",
    check: Annotated[
        bool, typer.Option("--check", help="Start, answer one request for each role, and end.")
    ] = False,
    gpus: Where = None,
    set_: Sets = None,
    download: Download = False,
    offline: Offline = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    from ullage.runtime.opening import Options
    from ullage.serving.checking import check_served
    from ullage.serving.made import plans_of
    from ullage.serving.server import Listening, listen
    from ullage.units import parse_bytes

    listening = Listening(
        host,
        port,
        _token(token_file),
        tuple(allow_host or ()),
        queue,
        parse_bytes(largest),
        answer_seconds=time_limit,
        drain_seconds=drain,
    )
    plans = plans_of(file, gpus, set_ or ())
    options = Options(download, quiet, verbose=verbose)
    if check:
        for line in check_served(plans, listening, options):
            print(line)
        return
    listen(
        plans,
        listening,
        options,
        lambda address, _: print(f"serves at {address}", file=sys.stderr, flush=True),
    )


def _token(file: str | None) -> str | None:
    if file is None:
        return os.environ.get(TOKEN) or None
    try:
        return Path(file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"--token-file {file}: cannot be read: {error}") from error
