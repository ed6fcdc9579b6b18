"""Options of commands that listen: where, under which names, and with which token."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Final

import typer

from ullage.errors import InputError

TOKEN: Final = "ULLAGE_TOKEN"
"""The environment variable with the token: on a command line all of a machine's users would read it."""

Host = Annotated[str, typer.Option(help="The address to listen at; others than loopback need a token.")]
Port = Annotated[int, typer.Option(help="0 takes a free one.")]
TokenFile = Annotated[
    str | None, typer.Option(metavar="FILE", help=f"Has the bearer token; else {TOKEN} has it.")
]
AllowHost = Annotated[
    list[str] | None, typer.Option("--allow-host", help="A name it goes by; may be repeated.")
]


def token_of(file: str | None) -> str | None:
    """The token of a file, else of the environment. Raises InputError."""
    if file is None:
        return os.environ.get(TOKEN) or None
    try:
        return Path(file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"--token-file {file}: cannot be read: {error}") from error
