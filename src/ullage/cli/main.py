"""`ullage`: the entry point and its verbs."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from ullage.errors import UllageError

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


@app.command()
def gpus(
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
        code = BAD_INPUT
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


def run() -> None:
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
