"""The options of commands that have a model read texts: said once, and given to a command as one value."""

from __future__ import annotations

from typing import Annotated, TypedDict

import typer

from ullage.reports.options import takes
from ullage.reports.terminal import Download, Quiet, Where


class How(TypedDict):
    """How a model reads texts, under the names of the library's settings."""

    gpus: str
    precision: str
    batch: int | None
    skip_too_long: bool
    download: bool
    quiet: bool


def _told(
    gpus: Where = None,
    precision: Annotated[str, typer.Option(help="What the model's weights are read in.")] = "auto",
    batch: Annotated[int | None, typer.Option(help="Texts a pass; default as many as fill it.")] = None,
    skip_too_long: Annotated[
        bool, typer.Option("--skip-too-long", help="Leave out dialogues beyond the model's window.")
    ] = False,
    download: Download = False,
    quiet: Quiet = False,
) -> How:
    return How(
        gpus=gpus or "local",
        precision=precision,
        batch=batch,
        skip_too_long=skip_too_long,
        download=download,
        quiet=quiet,
    )


reads_texts = takes("how", _told)
"""A command that takes `how: How`."""
