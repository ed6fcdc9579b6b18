"""`ullage play`."""

from __future__ import annotations

from typing import Annotated

import typer

from ullage.reports.terminal import Download, Sets, Where


def play(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A workload file of kind werewolf.")],
    seat: Annotated[int, typer.Option(help="The seat you take, from 1.")] = 1,
    seed: Annotated[int, typer.Option(help="Of the game: who is who, and what chance decides.")] = 0,
    gpus: Where = None,
    set_: Sets = None,
    download: Download = False,
) -> None:
    from ullage.kinds.werewolf import verbs

    try:
        verbs.play(
            file,
            print,
            input,
            seat=seat,
            seed=seed,
            gpus=gpus,
            overrides=tuple(set_ or ()),
            download=download,
        )
    except EOFError:
        print("\nthe game is left")
