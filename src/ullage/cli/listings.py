"""Commands that list what there is: cards, models, examples, the schema of the workload file."""

from __future__ import annotations

from typing import Annotated

import typer

from ullage.reports.terminal import Json, Offline, Seed, Sets, exit_unless, tell


def gpus(
    file: Annotated[str | None, typer.Argument(metavar="[FILE]", help="A workload file.")] = None,
    json: Json = False,
    set_: Sets = None,
    offline: Offline = False,
) -> None:
    from ullage import api
    from ullage.reports.model_page import gpu_sets_document, gpus_document, show_gpu_sets, show_gpus

    if file is None:
        priced = api.cards()
        return tell(
            json,
            lambda: gpus_document(priced),
            lambda console: show_gpus(priced, console),
        )
    workload = api.load(file, set_ or ())
    needed = api.needs_card(workload)
    found = api.gpus(workload, base=api.folder_of(file))
    tell(
        json,
        lambda: gpu_sets_document(found),
        lambda console: show_gpu_sets(found, console, needed),
    )
    return exit_unless(bool(found) or not needed)


def models(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Or a config.json.")] = None,
    json: Json = False,
    offline: Offline = False,
) -> None:
    from ullage import api
    from ullage.reports.document import model_document
    from ullage.reports.model_page import models_document, show_model, show_models

    if name is None:
        known = api.models()
        return tell(json, lambda: models_document(known), lambda console: show_models(known, console))
    found = api.model(name)
    return tell(json, lambda: model_document(found), lambda console: show_model(found, console))


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
