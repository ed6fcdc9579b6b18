"""`ullage`: the entry point and its verbs."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from ullage.cli import pii
from ullage.cli.evidence import evidence
from ullage.errors import DoesNotFitError, InputError, UllageError

BAD_INPUT = 2
DOES_NOT_FIT = 3
INTERNAL = 1

app = typer.Typer(
    name="ullage",
    help="What an LLM workload needs, byte by byte, before anyone rents a GPU.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

app.add_typer(pii.app, name="pii")
app.command()(evidence)

Json = Annotated[bool, typer.Option("--json", help="Print a JSON document instead.")]
Gpus = Annotated[str | None, typer.Option("--gpus", help="For example 2xA100-80GB.")]
Sets = Annotated[list[str] | None, typer.Option("--set", help="path=value, changes the file's.")]
Sweeps = Annotated[
    list[str] | None, typer.Option("--sweep", help="path=1..64 (doubling), path=0..10:2, path=a,b.")
]
Items = Annotated[bool, typer.Option("--items", help="Line items of every phase.")]
File = Annotated[str, typer.Argument(metavar="FILE", help="A workload file, YAML or JSON.")]


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"ullage {version('ullage')}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Ullage plans the GPU memory of LLM workloads."""


@app.command()
def plan(
    file: File,
    gpus: Gpus = None,
    json: Json = False,
    set_: Sets = None,
    sweep: Sweeps = None,
    items: Items = False,
    advice: Annotated[bool, typer.Option(help="Search for changes and other cards.")] = True,
) -> None:
    """Bytes on every GPU in every phase, whether they fit, and what would."""
    from ullage import api
    from ullage.cli import render

    base = Path(file).parent
    if sweep:
        from ullage.cli.sweep import sweep_file

        return render.rows(sweep_file(file, gpus, set_ or [], sweep), json)
    found = api.plan(api.load(file, set_ or ()), gpus, base=base, advice=advice)
    return render.plan(found, json, items)


@app.command()
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
    tensor_parallel: int = 1,
    train: Annotated[str | None, typer.Option(help="Optimizer: none, sgd, adamw, adamw-8bit.")] = None,
    gradient_checkpointing: bool = False,
    gpus: Annotated[str, typer.Option(help="For example 1xA100-80GB.")] = "1xA100-80GB",
    json: Json = False,
    sweep: Sweeps = None,
    items: Items = False,
    advice: Annotated[bool, typer.Option(help="Search for changes and other cards.")] = True,
) -> None:
    """The one-model question, without a file."""
    from ullage import api
    from ullage.cli import render

    fields: dict[str, Any] = {
        "precision": precision,
        "prompt_tokens": prompt_tokens,
        "new_tokens": new_tokens,
        "batch": batch,
        "attention": attention,
        "engine": engine,
        "cache": {"kind": cache},
        "images": images,
        "tensor_parallel": tensor_parallel,
    }
    workload = api.bare_workload(model, train=train, gradient_checkpointing=gradient_checkpointing, **fields)
    if sweep:
        from ullage.cli.sweep import sweep_workload

        return render.rows(sweep_workload(workload, gpus, sweep, "roles.model."), json)
    return render.plan(api.plan(workload, gpus, advice=advice), json, items, "estimate")


Where = Annotated[str | None, typer.Option(help="As 2xA100-80GB; local (this machine's), cpu.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="Say nothing but warnings.")]
Download = Annotated[bool, typer.Option("--download", help="Fetch models from the hub where needed.")]


@app.command()
def run(
    file: Annotated[str | None, typer.Argument(metavar="[FILE]", help="A workload file.")] = None,
    out: Annotated[str | None, typer.Option(help="A new folder; default runs/KIND-N.")] = None,
    resume: Annotated[str | None, typer.Option(metavar="RUN", help="Go on with a run cut short.")] = None,
    gpus: Where = None,
    set_: Sets = None,
    anyway: Annotated[bool, typer.Option("--anyway", help="Even if the plan does not fit.")] = False,
    snapshot: Annotated[bool, typer.Option("--snapshot", help="Record torch's allocator (GPUs).")] = False,
    download: Download = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Do what a workload file plans, inside its plan; --resume goes on with a run that was cut short."""
    from ullage import api
    from ullage.cli import render

    if (file is None) == (resume is None):
        raise InputError("give a workload FILE to run, or --resume RUN to go on with one")
    if resume is not None:
        record = api.resume(resume, download=download, quiet=quiet)
        return render.run(Path(resume), record, json)
    assert file is not None
    workload = api.load(file, set_ or ())
    folder, record = api.run(
        workload,
        out,
        gpus,
        base=Path(file).parent,
        download=download,
        quiet=quiet,
        anyway=anyway,
        snapshot=snapshot,
    )
    return render.run(folder, record, json)


@app.command()
def check(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A workload file.")],
    gpus: Where = None,
    set_: Sets = None,
    download: Download = False,
    json: Json = False,
) -> None:
    """Load every model where the plan puts it, run one smallest batch, say where things are."""
    from ullage import api
    from ullage.cli import render

    found = api.check(api.load(file, set_ or ()), gpus, base=Path(file).parent, download=download)
    render.check(found, json)


@app.command()
def verify(
    folder: Annotated[str, typer.Argument(metavar="RUN", help="The folder of a finished run.")],
    json: Json = False,
) -> None:
    """Predicted against measured memory of a run, by phase, device and component."""
    from ullage import api
    from ullage.cli import render

    render.verification(api.verify(folder), json)


@app.command()
def report(
    folder: Annotated[str, typer.Argument(metavar="RUN", help="The folder of a finished run.")],
) -> None:
    """Write a finished run's tables and its page of HTML anew."""
    from ullage import api

    for path in api.report(folder):
        print(path)


@app.command()
def judge(
    folder: Annotated[str, typer.Argument(metavar="RUN", help="The folder of a finished evaluation.")],
    role: Annotated[
        list[str] | None, typer.Option(help="As judge.model=...; judge_b.model=... adds a judge.")
    ] = None,
    out: Annotated[str | None, typer.Option(help="A new folder; default runs/evaluate-N.")] = None,
    gpus: Where = None,
    set_: Sets = None,
    download: Download = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Judge the answers of a finished evaluation again, or by other judges, without generating."""
    from ullage import api
    from ullage.cli import render

    overrides = [*(set_ or ()), *(f"roles.{each}" for each in role or ())]
    target, record = api.judge(folder, out, overrides, gpus, download=download, quiet=quiet)
    render.run(target, record, json)


@app.command()
def analyse(
    folder: Annotated[str, typer.Argument(metavar="RUN", help="The folder of a finished extraction.")],
    out: Annotated[str | None, typer.Option(help="A folder for pictures.")] = None,
    json: Json = False,
) -> None:
    """Dimension, norms, sparsity of every stored site; with --out a picture of each analysis."""
    from ullage import api
    from ullage.cli import render

    found = api.survey(folder)
    render.survey(found, json)
    if out is not None:
        from ullage.capture.survey import draw_survey

        drawn = draw_survey(found, api.open_states(folder), Path(out))
        print(f"{len(drawn)} pictures in {out}", file=sys.stderr)


@app.command()
def extract(
    model: Annotated[str, typer.Option(help="A folder, or a hub name in the local cache.")],
    input: Annotated[str, typer.Option(help="JSON lines with text or tokens, or a .txt.")],
    sites: Annotated[list[str], typer.Option(help="As blocks.*.hook_resid_post; may be repeated.")],
    out: Annotated[str | None, typer.Option(help="A new folder; default runs/extract-N.")] = None,
    positions: Annotated[str, typer.Option(help="all, last, mean or span.")] = "all",
    gpus: Where = None,
    batch: int = 8,
    precision: str = "auto",
    chunk: Annotated[int | None, typer.Option(help="Stream in chunks of this many tokens.")] = None,
    new_tokens: Annotated[int, typer.Option(help="Also generate so many, and capture those.")] = 0,
    temperature: float = 0.0,
    store: Annotated[str, typer.Option(help="safetensors or npy.")] = "safetensors",
    keep_precision: Annotated[str, typer.Option(help="compute, fp32, fp16 or bf16.")] = "compute",
    text_field: str = "text",
    download: Download = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Hidden states of texts, without a workload file."""
    from ullage import api
    from ullage.cli import render

    folder, record = api.extract(
        model,
        input,
        sites,
        out,
        positions=positions,  # type: ignore[arg-type]
        gpus=gpus or "local",
        batch=batch,
        precision=precision,
        chunk=chunk,
        new_tokens=new_tokens,
        temperature=temperature,
        store=store,
        keep_precision=keep_precision,
        text_field=text_field,
        download=download,
        quiet=quiet,
    )
    render.run(folder, record, json)


@app.command("gpus")
def list_gpus(
    file: Annotated[str | None, typer.Argument(metavar="[FILE]", help="A workload file.")] = None,
    json: Json = False,
    set_: Sets = None,
) -> None:
    """Every GPU set that holds a workload, cheapest first; without a file, the cards it knows."""
    from ullage import api
    from ullage.cli import render

    if file is None:
        return render.cards(json)
    return render.gpu_sets(api.gpus(api.load(file, set_ or ()), base=Path(file).parent), json)


@app.command()
def models(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Or a config.json.")] = None,
    json: Json = False,
) -> None:
    """Parameters of a model by component; without a name, the catalog."""
    from ullage import api
    from ullage.cli import render

    if name is None:
        from ullage.facts.catalog import find_model, model_names

        return render.models([find_model(known) for known in model_names()], json)
    return render.model(api.model(name), json)


@app.command()
def sample(
    task: Annotated[str, typer.Argument(metavar="TASK", help="answer, lie, judge, verify, route, ...")],
    out: Annotated[str, typer.Option(help="The file to write, JSON lines.")],
    split: Annotated[str, typer.Option(help="train, validation or test.")] = "test",
    count: Annotated[int, typer.Option(min=1, help="How many examples.")] = 100,
    seed: Annotated[int, typer.Option(min=0)] = 0,
) -> None:
    """Labelled examples for the bundled model ullage:tiny, made here from its small world."""
    from ullage import api

    print(f"{count} examples of {task} in {api.sample(task, out, split, count, seed)}")


@app.command()
def schema() -> None:
    """JSON Schema of the workload file, for editors."""
    from ullage import api
    from ullage.cli import render

    render.document(api.schema())


def main(arguments: list[str] | None = None) -> None:
    """Runs the command line; every mistake of the user's is one line and exit code 2."""
    try:
        code = app(arguments, standalone_mode=False)
    except UllageError as error:
        for line in str(error).splitlines():
            print(f"ullage: error: {line}", file=sys.stderr)
        code = DOES_NOT_FIT if isinstance(error, DoesNotFitError) else BAD_INPUT
    except typer.Exit as error:
        code = error.exit_code
    except typer.TyperException as error:
        shown = getattr(error, "format_message", error.__str__)()
        print(f"ullage: error: {shown}", file=sys.stderr)
        code = BAD_INPUT
    except (typer.Abort, KeyboardInterrupt):
        code = 130
    except BrokenPipeError:
        # The reader has gone; nothing more can be said to it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except Exception as error:
        if os.environ.get("ULLAGE_DEBUG"):
            raise
        print(
            f"ullage: internal error, please report it: {type(error).__name__}: {error} "
            "(ULLAGE_DEBUG=1 shows where)",
            file=sys.stderr,
        )
        code = INTERNAL
    sys.exit(code if isinstance(code, int) else 0)


def program() -> None:
    """The console script: `main`, then out without tearing the interpreter down.

    That takes a tenth of a cold start and frees only what the system frees anyway; nothing here runs at
    exit, and both streams are flushed.
    """
    code: object = 0
    try:
        main()
    except SystemExit as ended:
        code = ended.code
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(BrokenPipeError):
            stream.flush()
    os._exit(code if isinstance(code, int) else 0)
