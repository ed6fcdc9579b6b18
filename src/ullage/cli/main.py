"""`ullage`: the entry point."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import Annotated

import typer

from ullage.cli.commands import Commands
from ullage.errors import DoesNotFitError, UllageError
from ullage.reports.terminal import BAD_INPUT, DOES_NOT_FIT, INTERNAL

app = typer.Typer(
    name="ullage",
    cls=Commands,
    help="What an LLM workload needs, byte by byte, before anyone rents a GPU.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"ullage {version('ullage')}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Ullage plans the GPU memory of LLM workloads."""


def main(arguments: list[str] | None = None) -> None:
    """Runs the command line; every mistake of the user's is one line and exit code 2."""
    try:
        code = app(arguments, standalone_mode=False)
    except UllageError as error:
        for line in str(error).splitlines():
            print(f"ullage: error: {line}", file=sys.stderr)
        code = DOES_NOT_FIT if isinstance(error, DoesNotFitError) else BAD_INPUT
    except typer.Exit as error:
        code = error.exit_code
    except typer.TyperException as error:
        shown = getattr(error, "format_message", error.__str__)()
        # Of a command that was given nothing this is the page of help, which is no mistake to be told.
        print(shown if shown.startswith("Usage: ") else f"ullage: error: {shown}", file=sys.stderr)
        code = BAD_INPUT
    except (typer.Abort, KeyboardInterrupt):
        code = 130
    except SystemExit:
        # Typer's answer to a reader that has gone, and to nothing else; no more can be said to it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except Exception as error:
        if os.environ.get("ULLAGE_DEBUG"):
            raise
        print(
            f"ullage: internal error, please report it: {type(error).__name__}: {error} "
            "(ULLAGE_DEBUG=1 shows where)",
            file=sys.stderr,
        )
        code = INTERNAL
    sys.exit(code if isinstance(code, int) else 0)


def program() -> None:
    """The console script: `main`, then out without tearing the interpreter down.

    That takes a tenth of a cold start and frees only what the system frees anyway; nothing here runs at
    exit, and both streams are flushed.
    """
    code: object = 0
    try:
        main()
    except SystemExit as ended:
        code = ended.code
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(BrokenPipeError):
            stream.flush()
    os._exit(code if isinstance(code, int) else 0)
