"""`ullage serve`: a file's roles behind OpenAI's protocol."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from ullage.cli.door import AllowHost, Host, Port, TokenFile, token_of
from ullage.reports.terminal import Download, Offline, Quiet, Sets, Verbose, Where


def serve(
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="A workload file, or the JSON of a served plan.")
    ],
    host: Host = "127.0.0.1",
    port: Port = 8321,
    token_file: TokenFile = None,
    allow_host: AllowHost = None,
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
    from ullage.ui.beside import pages_beside
    from ullage.ui.source import source_of
    from ullage.units import parse_bytes

    listening = Listening(
        host,
        port,
        token_of(token_file),
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

    def told(address: str, _: object) -> None:
        enter = "" if listening.token is None else "enter?token=TOKEN"
        print(f"serves at {address}", file=sys.stderr)
        print(f"its planner page is at {address}/ui/{enter}", file=sys.stderr, flush=True)

    runs = Path("runs")
    with pages_beside(source_of(plans.whole or plans.roles, file), runs if runs.is_dir() else None) as pages:
        listen(plans, listening, options, told, pages)
