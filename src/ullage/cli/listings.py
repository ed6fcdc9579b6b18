"""Commands that list what there is: cards, models, examples, the schema of the workload file."""

from __future__ import annotations

from typing import Annotated

import typer

from ullage.cli.prices import by_prices
from ullage.errors import InputError
from ullage.reports.options import takes
from ullage.reports.terminal import Json, Offline, Seed, Sets, exit_unless, tell


@takes("whose", by_prices)
def gpus(
    file: Annotated[str | None, typer.Argument(metavar="[FILE]", help="A workload file.")] = None,
    json: Json = False,
    set_: Sets = None,
    *,
    whose: dict[str, str | None],
    all_: Annotated[bool, typer.Option("--all", help="Every set that holds it, not ten.")] = False,
    offline: Offline = False,
) -> None:
    from ullage import api

    if file is None:
        from ullage.reports.gpu_document import gpus_document
        from ullage.reports.model_page import gpus_page

        _of_a_file(set_=set_, all_=all_)
        lists = api.lists(**whose)
        priced = api.cards(prices=lists)
        return tell(json, lambda: gpus_document(priced, lists), lambda: (gpus_page(priced, lists),))
    from ullage.api.renting import SHOWN
    from ullage.reports.renting_document import renting_document
    from ullage.reports.renting_page import renting_page

    _no_card(file)
    found = api.rentals(
        api.load(file, set_ or ()),
        base=api.folder_of(file),
        **whose,
        most=None if all_ else SHOWN,
    )
    tell(json, lambda: renting_document(found), lambda: renting_page(found))
    return exit_unless(bool(found.rentals) or not found.needed)


def _of_a_file(**given: object) -> None:
    """Raises InputError for options that bear on a workload alone, where no file has one."""
    for name, value in given.items():
        if value:
            raise InputError(
                f"--{name.strip('_')}: is of the sets that hold a workload; give its file too, "
                "as `ullage gpus FILE`; without one all cards are listed"
            )


def _no_card(file: str) -> None:
    """Raises InputError where cards are named in place of a file."""
    from pathlib import Path

    from ullage.facts.gpu_set import parse_gpu_set

    if Path(file).exists():
        return
    try:
        parse_gpu_set(file)
    except InputError:
        return  # what is wrong with it as a file is told where it is read
    raise InputError(
        f"{file}: names cards, not a workload file; `ullage gpus` alone lists all cards, "
        f"`ullage plan FILE --gpus '{file}'` plans on these"
    )


def models(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Or a config.json.")] = None,
    json: Json = False,
    offline: Offline = False,
) -> None:
    from ullage import api
    from ullage.reports.model_document import model_document, models_document
    from ullage.reports.model_page import model_page, models_page

    if name is None:
        known = api.models()
        return tell(json, lambda: models_document(known), lambda: (models_page(known),))
    found = api.model(name)
    return tell(json, lambda: model_document(found), lambda: model_page(found))


def sample(
    task: Annotated[
        str,
        typer.Argument(
            metavar="TASK", help="answer, lie, judge, verify, route, ...; or a model: artist, perception."
        ),
    ],
    out: Annotated[str, typer.Option(help="The file to write, JSON lines; of a model its folder.")],
    split: Annotated[str, typer.Option(help="train, validation or test.")] = "test",
    count: Annotated[int, typer.Option(min=1, help="How many examples.")] = 100,
    seed: Seed = 0,
) -> None:
    from ullage import api
    from ullage.engines.small import SMALL

    if task in SMALL:
        made = api.sample_model(task, out, seed)
        print(f"a small model for the role {task}, its weights of chance, in {made}")
        return
    print(f"{count} examples of {task} in {api.sample(task, out, split, count, seed)}")


def schema() -> None:
    from ullage import api

    tell(True, api.schema)
