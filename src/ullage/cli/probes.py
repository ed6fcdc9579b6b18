"""`ullage probe`: directions in a model's states, fitted, evaluated, brought from elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from ullage.cli.reading import How, reads_texts
from ullage.reports.options import takes
from ullage.reports.terminal import Json, Seed, epilog, tell

probe = typer.Typer(no_args_is_help=True, rich_markup_mode=None, add_completion=False)

Model = Annotated[
    str | None, typer.Option(help="Reads the dialogues: a folder, or a hub name in the local cache.")
]
States = Annotated[str | None, typer.Option(help="The folder of a run that has their states, by id.")]
Sites = Annotated[list[str] | None, typer.Option(help="Default blocks.*.hook_resid_post; may be repeated.")]
Layers = Annotated[str | None, typer.Option(help="Which of blocks.{l}, as 0,15,-1; default all.")]
Control = Annotated[str | None, typer.Option(help="Ordinary dialogues that set the threshold, JSON lines.")]
Rate = Annotated[float, typer.Option(help="Share of those that may be flagged.")]


def _fitting(
    joined: Annotated[
        bool, typer.Option("--joined", help="Read all sites side by side instead of sweeping.")
    ] = False,
    method: Annotated[
        str, typer.Option(help="logistic, difference, adjusted, lat, mlp or attention.")
    ] = "logistic",
    rows: Annotated[str, typer.Option(help="What is fitted to: tokens, mean or last.")] = "tokens",
    aggregation: Annotated[
        str, typer.Option(help="Tokens' scores as one: mean, max, last, rolling (max of means).")
    ] = "mean",
    window: Annotated[int, typer.Option(help="Tokens of a rolling mean.")] = 5,
    skip_first: Annotated[int, typer.Option(help="Counted tokens that are left out.")] = 0,
    lambda_: Annotated[
        list[float] | None, typer.Option("--lambda", help="Default 10; may be repeated, and is swept.")
    ] = None,
    intercept: Annotated[bool, typer.Option(help="Of logistic regression.")] = True,
    control: Control = None,
    rate: Rate = 0.01,
    shuffles: Annotated[int, typer.Option(help="Controls with labels that say nothing.")] = 10,
    seed: Seed = 0,
    epochs: Annotated[int, typer.Option(help="Of mlp and attention.")] = 40,
) -> dict[str, Any]:
    given: dict[str, Any] = dict(locals())
    del given["lambda_"]
    return given | {"strengths": tuple(lambda_) if lambda_ else (10.0,)}


@probe.command(epilog=epilog("ullage probe fit pairs.jsonl --model ullage:tiny --out truth", {}))
@reads_texts
@takes("fitting", _fitting)
def fit(
    labels: Annotated[str, typer.Argument(metavar="LABELS", help="Labelled dialogues, JSON lines.")],
    out: Annotated[str, typer.Option(help="A new folder for the probe.")],
    model: Model = None,
    states: States = None,
    sites: Sites = None,
    layers: Layers = None,
    *,
    fitting: dict[str, Any],
    plot: Annotated[str | None, typer.Option(help="A picture of the sweep: .png, .svg or .pdf.")] = None,
    how: How,
    json: Json = False,
) -> None:
    """Fit a probe to labelled dialogues; choose a layer, test on groups held out, beside chance and words."""
    from ullage import api
    from ullage.reports.probe_page import fit_page

    _check_picture(plot)
    chosen = tuple(sites) if sites else ("blocks.*.hook_resid_post",)
    document = api.fit_probe(
        labels, out, model=model, states=states, sites=chosen, layers=_numbers(layers), **fitting, **how
    )
    tell(json, lambda: document, lambda: fit_page(document))
    if plot is not None:
        from ullage.probes.plots import plot_sweep

        plot_sweep(document).savefig(plot, dpi=150)


@probe.command(epilog=epilog("ullage probe evaluate truth --labels unseen.jsonl --model ullage:tiny", {}))
@reads_texts
def evaluate(
    probes: Annotated[list[str], typer.Argument(metavar="PROBE...", help="Folders of probes.")],
    labels: Annotated[str, typer.Option(help="Labelled dialogues they have not seen, JSON lines.")],
    model: Model = None,
    states: States = None,
    out: Annotated[str | None, typer.Option(help="A new folder for what --model reads.")] = None,
    control: Control = None,
    rate: Rate = 0.01,
    tokens: Annotated[str | None, typer.Option(help="A file for the scores of every token.")] = None,
    unseen: Annotated[bool, typer.Option("--unseen", help="Leave out what a probe was fitted to.")] = False,
    without_roles: Annotated[
        bool, typer.Option("--without-roles", help="Also with system messages taken out.")
    ] = False,
    *,
    how: How,
    json: Json = False,
) -> None:
    """How probes do on dialogues they were not fitted to, set by set."""
    from ullage import api
    from ullage.reports.probe_page import evaluation_page

    document = api.evaluate_probe(
        probes,
        labels,
        model=model,
        states=states,
        out=out,
        tokens=tokens,
        unseen=unseen,
        without_roles=without_roles,
        control=control,
        rate=rate,
        **how,
    )
    tell(json, lambda: document, lambda: evaluation_page(document))


@probe.command(
    epilog=epilog("ullage probe apply truth --texts talks.jsonl --model ullage:tiny --out scores.jsonl", {})
)
@reads_texts
def apply(
    probes: Annotated[list[str], typer.Argument(metavar="PROBE...", help="Folders of probes.")],
    texts: Annotated[str, typer.Option(help="Finished texts or dialogues, JSON lines; labels may lack.")],
    model: Annotated[str, typer.Option(help="Reads them once: a folder, hub name or .gguf.")],
    out: Annotated[str, typer.Option(help="A new file: a line of scores for each.")],
    *,
    how: How,
    json: Json = False,
) -> None:
    """Score finished texts token by token, and each whole, in one pass; no state is kept."""
    from ullage import api
    from ullage.reports.probe_page import scores_page

    document = api.apply_probes(
        probes,
        texts,
        model,
        out,
        **how,
    )
    tell(json, lambda: document, lambda: scores_page(document))


@probe.command(
    epilog=epilog("ullage probe drift truth --labels unseen.jsonl --model ullage:tiny --out drift", {})
)
@reads_texts
def drift(
    folder: Annotated[str, typer.Argument(metavar="PROBE", help="The folder of a probe.")],
    labels: Annotated[str, typer.Option(help="Labelled dialogues it has not seen, JSON lines.")],
    model: Annotated[str, typer.Option(help="Reads the dialogues in each precision.")],
    out: Annotated[str, typer.Option(help="A new folder for what it reads.")],
    precision: Annotated[str, typer.Option(help="Each is held against the first.")] = "bf16,int8,nf4",
    unseen: Annotated[bool, typer.Option("--unseen", help="Leave out what it was fitted to.")] = False,
    *,
    how: How,
    json: Json = False,
) -> None:
    """How far a probe's scores, and its threshold, move with the model's precision."""
    from ullage import api
    from ullage.reports.probe_page import drift_page

    names = [each.strip() for each in precision.split(",") if each.strip()]
    document = api.probe_drift(folder, labels, model, names, out, unseen=unseen, **how)
    tell(json, lambda: document, lambda: drift_page(document))


@probe.command("import", epilog=epilog("ullage probe import detector.pt --out truth", {}))
def import_(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A checkpoint, or a folder of activations.")],
    out: Annotated[str, typer.Option(help="A new folder.")],
    site: Annotated[
        str | None, typer.Option(help="What it reads; default blocks.{l}.hook_resid_post of its layer.")
    ] = None,
    model: Annotated[str, typer.Option(help="The model whose states it reads, for its card.")] = "",
    allow_pickle: Annotated[
        bool, typer.Option("--allow-pickle", help="Read a plain pickle: tensors and arrays, nothing else.")
    ] = False,
    json: Json = False,
) -> None:
    """Convert a published probe (lie-detectors, Apollo's) or activations (lmprobe's) into Ullage's form."""
    from ullage import api

    document = api.import_probe(file, out, site=site, model=model, allow_pickle=allow_pickle)
    if json:
        return tell(True, lambda: document)
    return _say_imported(document, out)


@probe.command(epilog=epilog("ullage probe export truth --out arrays", {}))
def export(
    folder: Annotated[str, typer.Argument(metavar="PROBE", help="The folder of a probe.")],
    out: Annotated[str, typer.Option(help="A new folder.")],
) -> None:
    """Write a probe's weights as plain arrays for scikit-learn and others."""
    from ullage import api

    for path in api.export_probe(folder, out):
        print(path)


def _say_imported(document: Mapping[str, object], out: str) -> None:
    print(f"{document['source'] or document['document']}: converted into {out}", file=sys.stderr)


def _check_picture(plot: str | None) -> None:
    """Before a fit is run for it. Raises InputError."""
    from ullage.errors import InputError

    if plot is not None and Path(plot).suffix not in (".png", ".svg", ".pdf"):
        raise InputError(f"--plot {plot!r}: a picture is .png, .svg or .pdf")
    if plot is not None and not Path(plot).parent.is_dir():
        raise InputError(f"--plot {plot!r}: there is no folder {Path(plot).parent}")


def _numbers(text: str | None) -> tuple[int, ...] | None:
    """Layers as 0,15,-1. Raises InputError."""
    from ullage.errors import InputError

    if text is None:
        return None
    try:
        return tuple(int(each) for each in text.strip(" []").split(","))
    except ValueError as error:
        raise InputError(f"--layers {text!r}: write numbers as 0,15,-1") from error
