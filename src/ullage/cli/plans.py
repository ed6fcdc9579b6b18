"""Commands that plan: a workload file, or one model without one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from ullage.cli.prices import by_prices
from ullage.errors import InputError
from ullage.reports.options import takes
from ullage.reports.terminal import Json, Offline, Sets, exit_unless, tell

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ullage.planning.cluster.cluster_plan import ClusterPlan
    from ullage.planning.plan import Plan
    from ullage.reports.pages.page import Part
    from ullage.reports.sweep_page import Row

Gpus = Annotated[str | None, typer.Option("--gpus", help="As 2xA100-80GB, or '2x(24GiB, 936GB/s, sm86)'.")]
Nodes = Annotated[
    str | None, typer.Option("--nodes", help="A cluster: '4x(8xH100-80GB; spot 0.05/h) + 2x(4xL4)'.")
]
Partition = Annotated[
    int | None, typer.Option(min=1, help="Records of a partition, of --nodes; else the soonest done.")
]
Sweeps = Annotated[
    list[str] | None, typer.Option("--sweep", help="path=1..64 (doubling), path=0..10:2, path=a,b.")
]
Details = Annotated[bool, typer.Option("--details", help="Phases, items, decisions, times, notes too.")]
Items = Annotated[bool, typer.Option("--items", help="Details with the line items of every phase.")]
HowKnown = Annotated[
    str | None,
    typer.Option("--fidelity", help="formula, traced (takes torch) or auto: memory.fidelity."),
]
Advise = Annotated[bool, typer.Option(help="Search for changes and other cards.")]
For = Annotated[str, typer.Option("--for", help="Advice by cost, time or quality first.")]
Keep = Annotated[
    list[str] | None, typer.Option(help="What no advice changes, as roles.judge.precision; may be repeated.")
]
MeasuredLoss = Annotated[
    list[str] | None, typer.Option(help="JSON of `probe drift` or `pii compare`: losses for the advice.")
]


@takes("whose", by_prices)
def plan(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A workload file, YAML or JSON.")],
    gpus: Gpus = None,
    json: Json = False,
    set_: Sets = None,
    *,
    whose: dict[str, str | None],
    sweep: Sweeps = None,
    nodes: Nodes = None,
    partition: Partition = None,
    details: Details = False,
    items: Items = False,
    advice: Advise = True,
    for_: For = "cost",
    keep: Keep = None,
    measured: MeasuredLoss = None,
    fidelity: HowKnown = None,
    offline: Offline = False,
) -> None:
    from ullage import api

    sets = with_fidelity(set_, fidelity)
    _named_once(gpus, sweep)
    if sweep and nodes is None:
        from ullage.cli.sweep import sweep_file

        return _tell_sweep(sweep_file(file, gpus, sets, sweep, api.lists(**whose)), json, items)
    workload, base = api.load(file, sets), api.folder_of(file)
    if nodes is not None:
        _no_other("--nodes", gpus=gpus, sweep=sweep)
        return _tell_cluster(
            api.plan_cluster(workload, nodes, base=base, partition=partition, prices=api.lists(**whose)), json
        )
    if partition is not None:
        raise InputError("--partition: only a cluster has partitions; give --nodes too")
    found = api.plan(
        workload,
        gpus,
        base=base,
        advice=advice,
        for_=for_,
        keep=keep or (),
        measured=measured or (),
        prices=api.lists(**whose),
    )
    return _tell_plan(found, json, details, items)


def _role(
    precision: Annotated[str, typer.Option(help="Of the weights: auto, bf16, int8, nf4, ...")] = "auto",
    prompt_tokens: Annotated[
        int | None, typer.Option(help="Of each prompt; default 1024, or what the model's window leaves.")
    ] = None,
    new_tokens: Annotated[int, typer.Option(help="Written after each prompt.")] = 128,
    batch: Annotated[int, typer.Option(help="Sequences a pass.")] = 1,
    attention: Annotated[str, typer.Option(help="auto, eager, sdpa, flash, ...: the kernel.")] = "auto",
    engine: Annotated[str, typer.Option(help="transformers, vllm, ...")] = "transformers",
    cache: Annotated[str, typer.Option(help="dynamic, static or quantized.")] = "dynamic",
    images: Annotated[int, typer.Option(help="Images per sequence.")] = 0,
    image_size: Annotated[str, typer.Option(help="Of each, before the model resizes it.")] = "1024x1024",
    tensor_parallel: Annotated[int, typer.Option(help="Cards that share each layer (vllm).")] = 1,
    rope: Annotated[str | None, typer.Option(help="Stretch positions: yarn:4, linear:2, dynamic:2.")] = None,
) -> dict[str, Any]:
    return {**locals(), "cache": {"kind": cache}}


def _training(
    train: Annotated[
        str | None,
        typer.Option(help="Optimizer: none, sgd, adamw, adamw-torch, adamw-8bit, paged-adamw-8bit."),
    ] = None,
    lora: Annotated[int | None, typer.Option(help="Train adapters of this rank, beside --precision.")] = None,
    gradient_checkpointing: Annotated[
        bool, typer.Option(help="Of --train: keep less, and compute it again.")
    ] = False,
) -> dict[str, Any]:
    return dict(locals())


@takes("role", _role)
@takes("training", _training)
@takes("whose", by_prices)
def estimate(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Name, folder or config.json.")],
    *,
    role: dict[str, Any],
    captures: Annotated[
        list[str] | None, typer.Option(help="Sites to keep, as 'blocks.*.hook_resid_post'; may be repeated.")
    ] = None,
    training: dict[str, Any],
    whose: dict[str, str | None],
    gpus: Annotated[
        str | None, typer.Option(help="As 2xL4, or '(24GiB, 936GB/s, sm86)'; default 1xA100-80GB.")
    ] = None,
    json: Json = False,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="path=value, as of a file with one role, model.")
    ] = None,
    sweep: Sweeps = None,
    details: Details = False,
    items: Items = False,
    advice: Advise = True,
    for_: For = "cost",
    keep: Keep = None,
    measured: MeasuredLoss = None,
    fidelity: HowKnown = None,
    offline: Offline = False,
) -> None:
    from ullage import api
    from ullage.api.one_model import cards_of

    _named_once(gpus, sweep)
    workload = api.bare_workload(
        model, captures=captures or (), set_=set_ or (), fidelity=fidelity, **training, **role
    )
    if sweep:
        from ullage.cli.sweep import sweep_workload

        return _tell_sweep(sweep_workload(workload, gpus, sweep, api.lists(**whose)), json, items)
    found = api.plan(
        workload,
        cards_of(workload, gpus),
        advice=advice,
        for_=for_,
        keep=keep or (),
        measured=measured or (),
        prices=api.lists(**whose),
    )
    return _tell_plan(found, json, details, items)


def with_fidelity(sets: list[str] | None, fidelity: str | None) -> list[str]:
    """What the command changes of a file, `fidelity` among it."""
    return [*(sets or ()), *([] if fidelity is None else [f"memory.fidelity={fidelity}"])]


def _named_once(gpus: str | None, sweep: list[str] | None) -> None:
    """Refuses points over cards beside `--gpus`, which stands for those of a file and of its settings."""
    paths = [each.partition("=")[0].strip() for each in sweep or ()]
    if gpus is not None and "budget.gpus" in paths:
        raise InputError("--gpus and --sweep budget.gpus: both name the cards; leave --gpus out")


def _no_other(option: str, **others: object) -> None:
    """Refuses what bears on one machine beside an option that names many."""
    for name, value in others.items():
        if value is not None:
            raise InputError(f"{option}: says what machines there are; leave out --{name}")


def _tell_cluster(found: ClusterPlan, json: bool) -> None:
    from ullage.reports.cluster_page import cluster_page

    tell(json, found.to_json, lambda: cluster_page(found))


def _tell_plan(found: Plan, json: bool, details: bool, items: bool) -> None:
    def page() -> Iterator[Part]:
        from ullage.reports.plan_details import in_detail
        from ullage.reports.plan_page import plan_page

        yield plan_page(found)
        if details or items:
            yield from in_detail(found, items=items)

    tell(json, found.to_json, page)
    exit_unless(found.verdict != "does not fit")


def _tell_sweep(rows: list[Row], json: bool, items: bool) -> None:
    from ullage.reports.sweep_document import sweep_document
    from ullage.reports.sweep_page import sweep_page

    tell(json, lambda: sweep_document(rows, items), lambda: sweep_page(rows, items=items))
    exit_unless(any(row.verdict in ("fits", "tight") for row in rows))
