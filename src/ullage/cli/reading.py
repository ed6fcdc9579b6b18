"""The options of commands that have a model read texts: said once, and given to a command as one value."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Annotated, TypedDict

import typer

from ullage.reports.terminal import Download, Quiet, Where


class How(TypedDict):
    """How a model reads texts, under the names of the library's settings."""

    gpus: str
    precision: str
    batch: int | None
    skip_too_long: bool
    download: bool
    quiet: bool


def reads_texts(command: Callable[..., None]) -> Callable[..., None]:
    """A command that takes `how: How`, as one with an option for each part of it that it has not itself."""
    own = inspect.signature(command, eval_str=True).parameters
    told = inspect.signature(_told, eval_str=True).parameters
    keyword = inspect.Parameter.KEYWORD_ONLY
    added = [told[name].replace(kind=keyword) for name in told if name not in own]
    found: list[inspect.Parameter] = []
    for name, each in own.items():
        found += added if name == "how" else [each]

    @wraps(command)
    def called(**given: object) -> None:
        how = _told(**{each.name: given.pop(each.name) for each in added})  # type: ignore[arg-type]
        command(**given, how=how)

    signature = inspect.Signature(found, return_annotation=None)
    called.__signature__ = signature  # type: ignore[attr-defined]
    called.__annotations__ = {each.name: each.annotation for each in found}
    return called


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
