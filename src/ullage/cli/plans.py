"""Commands that plan: a workload file, or one model without one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from ullage.reports.terminal import Json, Offline, Sets, exit_unless, tell

if TYPE_CHECKING:
    from rich.console import Console

    from ullage.planning.plan import Plan
    from ullage.reports.sweep_page import Row

Gpus = Annotated[str | None, typer.Option("--gpus", help="As 2xA100-80GB, or '2x(24GiB, 936GB/s, sm86)'.")]
Sweeps = Annotated[
    list[str] | None, typer.Option("--sweep", help="path=1..64 (doubling), path=0..10:2, path=a,b.")
]
Items = Annotated[bool, typer.Option("--items", help="Line items of every phase.")]
HowKnown = Annotated[
    str | None,
    typer.Option("--fidelity", help="formula, traced (takes torch) or auto: memory.fidelity."),
]
Advise = Annotated[bool, typer.Option(help="Search for changes and other cards.")]


def plan(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A workload file, YAML or JSON.")],
    gpus: Gpus = None,
    json: Json = False,
    set_: Sets = None,
    sweep: Sweeps = None,
    items: Items = False,
    advice: Advise = True,
    fidelity: HowKnown = None,
    offline: Offline = False,
) -> None:
    from ullage import api

    sets = with_fidelity(set_, fidelity)
    if sweep:
        from ullage.cli.sweep import sweep_file

        return _tell_sweep(sweep_file(file, gpus, sets, sweep), json)
    found = api.plan(api.load(file, sets), gpus, base=api.folder_of(file), advice=advice)
    return _tell_plan(found, json, items)


def estimate(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Name, folder or config.json.")],
    precision: str = "auto",
    prompt_tokens: int = 1024,
    new_tokens: int = 128,
    batch: int = 1,
    attention: str = "auto",
    engine: str = "transformers",
    cache: Annotated[str, typer.Option(help="dynamic, static or quantized.")] = "dynamic",
    images: Annotated[int, typer.Option(help="Images per sequence.")] = 0,
    image_size: Annotated[str, typer.Option(help="Of each, before the model resizes it.")] = "1024x1024",
    tensor_parallel: int = 1,
    rope: Annotated[str | None, typer.Option(help="Stretch positions: yarn:4, linear:2, dynamic:2.")] = None,
    train: Annotated[
        str | None, typer.Option(help="Optimizer: none, sgd, adamw, adamw-8bit, paged-adamw-8bit.")
    ] = None,
    lora: Annotated[int | None, typer.Option(help="Train adapters of this rank, beside --precision.")] = None,
    gradient_checkpointing: bool = False,
    gpus: Annotated[str, typer.Option(help="As 1xA100-80GB, or '(24GiB, 936GB/s, sm86)'.")] = "1xA100-80GB",
    json: Json = False,
    sweep: Sweeps = None,
    items: Items = False,
    advice: Advise = True,
    fidelity: HowKnown = None,
    offline: Offline = False,
) -> None:
    from ullage import api

    fields: dict[str, Any] = {
        "precision": precision,
        "prompt_tokens": prompt_tokens,
        "new_tokens": new_tokens,
        "batch": batch,
        "attention": attention,
        "engine": engine,
        "cache": {"kind": cache},
        "images": images,
        "image_size": image_size,
        "tensor_parallel": tensor_parallel,
        "rope": rope,
    }
    workload = api.bare_workload(
        model,
        train=train,
        lora=lora,
        gradient_checkpointing=gradient_checkpointing,
        fidelity=fidelity,
        **fields,
    )
    if sweep:
        from ullage.cli.sweep import sweep_workload

        return _tell_sweep(sweep_workload(workload, gpus, sweep, "roles.model."), json)
    return _tell_plan(api.plan(workload, gpus, advice=advice), json, items)


def with_fidelity(sets: list[str] | None, fidelity: str | None) -> list[str]:
    """What the command changes of a file, `fidelity` among it."""
    return [*(sets or ()), *([] if fidelity is None else [f"memory.fidelity={fidelity}"])]


def _tell_plan(found: Plan, json: bool, items: bool) -> None:
    def document() -> dict[str, Any]:
        from ullage.planning.document import plan_document

        return plan_document(found)

    def page(console: Console) -> None:
        from ullage.reports.plan_page import show_plan

        show_plan(found, console, items=items)

    tell(json, document, page)
    exit_unless(found.verdict != "does not fit")


def _tell_sweep(rows: list[Row], json: bool) -> None:
    from ullage.reports.sweep_page import show_sweep, sweep_document

    tell(json, lambda: sweep_document(rows), lambda console: show_sweep(rows, console))
    exit_unless(any(row.plan.verdict != "does not fit" for row in rows))
