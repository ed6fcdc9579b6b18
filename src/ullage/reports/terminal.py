"""What every command needs of the terminal: shared options, exit codes, a page or a JSON document."""

from __future__ import annotations

import json as json_
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Annotated, Final

import typer

from ullage.records.failing import too_many_failed

if TYPE_CHECKING:
    from ullage.records.record import Record
    from ullage.reports.pages.page import Page, Part

INTERNAL: Final = 1
FAILED: Final = 1
"""Of what was asked of a server more failed than the workload allows."""
BAD_INPUT: Final = 2
DOES_NOT_FIT: Final = 3


CODES: Final[Mapping[int, str]] = {0: "done", BAD_INPUT: "the input is wrong"}
"""What every command may exit with."""


def epilog(example: str, codes: Mapping[int, str]) -> str:
    """How a command's help ends: a call of it, and what it exits with, `codes` those that are its own."""
    told = sorted({**CODES, **codes}.items())
    listed = f"Exit codes: {'; '.join(f'{code} {meaning}' for code, meaning in told)}."
    return f"\b\nExample:\n  {example}\n\n{listed}" if example else listed


def _offline(wanted: bool) -> bool:
    """huggingface_hub reads it when it is imported, and what Ullage starts inherits it."""
    if wanted:
        os.environ["HF_HUB_OFFLINE"] = "1"
    return wanted


Json = Annotated[bool, typer.Option("--json", help="Print a JSON document instead.")]
Sets = Annotated[list[str] | None, typer.Option("--set", help="path=value, changes the file's.")]
Where = Annotated[str | None, typer.Option(help="As 2xA100-80GB; local (this machine's), cpu.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="Say nothing but warnings.")]
Verbose = Annotated[bool, typer.Option("--verbose", help="Show the libraries' own notices too.")]
Seed = Annotated[int, typer.Option(min=0, help="Of what chance decides; equal ones do the same.")]
Base = Annotated[
    str | None, typer.Option(metavar="FOLDER", help="Where the run's inputs are now, if it was moved.")
]
Download = Annotated[bool, typer.Option("--download", help="Fetch models from the hub where needed.")]
Offline = Annotated[bool, typer.Option("--offline", callback=_offline, help="Ask no hub for anything.")]


def tell(
    json: bool,
    document: Callable[[], Mapping[str, object]],
    page: Callable[[], Page | Iterable[Part]] | None = None,
) -> None:
    """Prints the document as JSON where that is asked for, else the page on the terminal.

    Colours and width are the terminal's; elsewhere it is plain text.
    """
    if json or page is None:
        json_.dump(document(), sys.stdout, indent=1)
        sys.stdout.write("\n")
        return
    from ullage.reports.console import PlainConsole
    from ullage.reports.pages.screen import show

    show(page(), PlainConsole())


def exit_if_too_many_failed(record: Record) -> None:
    """Ends the command with exit code 1 where more failed than the workload allows."""
    if too_many_failed(record.outcome):
        raise typer.Exit(FAILED)


def exit_unless(fits: bool) -> None:
    """Ends the command with exit code 3 where something does not fit."""
    if not fits:
        raise typer.Exit(DOES_NOT_FIT)
