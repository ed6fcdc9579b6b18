"""`ullage`: the entry point."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import Annotated, Final

import typer

from ullage.cli.commands import Commands
from ullage.cli.ending import Ending, end_children, open_streams
from ullage.errors import DoesNotFitError, RefusedError, UllageError
from ullage.reports.terminal import BAD_INPUT, DOES_NOT_FIT, FAILED, INTERNAL
from ullage.text import one_line

INTERRUPTED: Final = 130
LONGEST_SAID: Final = 1000
"""Characters of an error that nobody foresaw."""
EXITS: Final = (
    "Exit codes: 0 done, and it fits; 1 it cannot be done here, or too much of it failed; 2 the input is "
    "wrong; 3 it does not fit, or a run took more than was planned; 128 and more: a signal ended it, 130 is "
    "Ctrl-C."
)

app = typer.Typer(
    name="ullage",
    cls=Commands,
    help="What an LLM workload needs, byte by byte, before anyone rents a GPU.",
    epilog=EXITS,
    no_args_is_help=True,
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
    open_streams()
    ending = Ending()
    ending.begin()
    try:
        code = app(arguments, standalone_mode=False)
        if code == INTERRUPTED:  # typer's for an interrupt, whichever signal it was
            code = ending.code
        sys.stdout.flush()
    except UllageError as error:
        for line in str(error).splitlines():
            _say(f"error: {line}")
        code = DOES_NOT_FIT if isinstance(error, DoesNotFitError) else BAD_INPUT
        code = FAILED if isinstance(error, RefusedError) else code
    except typer.Exit as error:
        code = error.exit_code
    except typer.TyperException as error:
        shown = getattr(error, "format_message", error.__str__)()
        # Of a command that was given nothing this is the page of help, which is no mistake to be told.
        asked = shown.startswith("Usage: ")
        if asked:
            print(shown, flush=True)
        else:
            _say(f"error: {shown}")
        code = 0 if asked else BAD_INPUT
    except (typer.Abort, KeyboardInterrupt):
        code = ending.code
    except SystemExit:
        # Typer's answer to a reader that has gone, and to nothing else; no more can be said to it.
        _point_nowhere()
        code = 0
    except OSError as error:
        # Of the machine, and nobody's mistake here: a full disk, a folder of another's, too many open files.
        if os.environ.get("ULLAGE_DEBUG"):
            raise
        where = f"{error.filename}: " if error.filename else ""
        _say(f"error: {where}{error.strerror or error}")
        code = BAD_INPUT
    except Exception as error:
        if os.environ.get("ULLAGE_DEBUG"):
            raise
        said = f"{type(error).__name__}: {error}"
        _say(f"internal error, please report it: {said[:LONGEST_SAID]} (ULLAGE_DEBUG=1 shows where)")
        code = INTERNAL
    sys.exit(code if isinstance(code, int) else 0)


def _say(text: str) -> None:
    """One line on standard error, where there still is one."""
    with contextlib.suppress(OSError):
        print(f"ullage: {one_line(text)}", file=sys.stderr, flush=True)


def _point_nowhere() -> None:
    """What is still to be written to standard output goes to nobody."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def program() -> None:
    """The console script: `main`, then out without tearing the interpreter down.

    That takes a tenth of a cold start and frees only what the system frees anyway; nothing here runs at
    exit, children are ended, and both streams are flushed.
    """
    code: object = 0
    try:
        main()
    except SystemExit as ended:
        code = ended.code
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):
            stream.flush()
    end_children()
    os._exit(code if isinstance(code, int) else 0)
