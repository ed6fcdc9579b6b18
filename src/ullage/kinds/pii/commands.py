"""`ullage pii`: verify personal data without a workload file, calibrate, compare."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ullage.errors import InputError
from ullage.kinds.pii.options import Fields, Gpus, Offsets, PromptTokens, System, asking, reading
from ullage.kinds.pii.short_form import Settings
from ullage.records.folder import RunFolder
from ullage.reports.options import takes
from ullage.reports.terminal import Json, Quiet, Verbose, epilog, exit_if_too_many_failed, tell
from ullage.workloads.kind import RAN

app = typer.Typer(invoke_without_command=True, no_args_is_help=True, rich_markup_mode=None)


@app.callback()
@takes("read", reading)
@takes("asked", asking)
def verify(
    context: typer.Context,
    model_path: Annotated[str | None, typer.Option(help="A folder, or a hub name in the cache.")] = None,
    input: Annotated[
        str | None, typer.Option(help="JSON lines or arrays, CSV, Parquet, .gz, .bz2; -: standard input.")
    ] = None,
    output: Annotated[str | None, typer.Option(help="A new file, JSON lines or .gz, in input order.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with OUTPUT.run.")] = False,
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Resume even if model, versions or threads differ.")
    ] = False,
    *,
    read: Settings,
    asked: Settings,
    download: Annotated[bool, typer.Option("--download", help="Fetch the model where needed.")] = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    json: Json = False,
) -> None:
    """Verify personal-data candidates with a small model."""
    if context.invoked_subcommand is not None:
        return
    from ullage.kinds.pii import verbs
    from ullage.kinds.pii.documents import summary_document
    from ullage.kinds.pii.tables import summary_page

    named = (("--model-path", model_path), ("--input", input), ("--output", output))
    if missing := [name for name, value in named if value is None]:
        raise InputError(f"give {', '.join(missing)}")
    assert model_path is not None
    assert input is not None
    assert output is not None
    settings: Settings = {**read, **asked}
    found = verbs.verify_pii(
        model_path,
        input,
        output,
        resumed=resume,
        anyway=anyway,
        download=download,
        quiet=quiet,
        verbose=verbose,
        **settings,
    )
    tell(json, lambda: summary_document(found), lambda: summary_page(found))
    exit_if_too_many_failed(RunFolder(Path(f"{output}.run")).record())


@app.command(epilog=epilog("ullage pii calibrate verified.jsonl.run --out calibration.json", {}))
def calibrate(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A finished verification of a labelled file.")],
    out: Annotated[str, typer.Option(help="The file to write.")],
    precision: Annotated[
        float | None, typer.Option(min=0, max=1, help="The threshold that reaches it.")
    ] = None,
    recall: Annotated[float | None, typer.Option(min=0, max=1, help="The threshold that reaches it.")] = None,
    cost: Annotated[
        float | None, typer.Option(min=0, max=1e9, help="Of a miss, a false alarm being 1.")
    ] = None,
    held_out: Annotated[
        float, typer.Option(min=0, max=0.9, help="Share of records that it is measured on, not fitted to.")
    ] = 0.3,
    json: Json = False,
) -> None:
    """Temperature and threshold from labelled candidates."""
    from ullage.kinds.pii.documents import calibration_document
    from ullage.kinds.pii.finished import calibrate_pii
    from ullage.kinds.pii.tables import calibration_page

    chosen = [
        (name, value)
        for name, value in (("precision", precision), ("recall", recall), ("cost", cost))
        if value is not None
    ]
    if len(chosen) > 1:
        raise InputError("give one of --precision, --recall, --cost")
    by, value = chosen[0] if chosen else (None, 0.0)
    found = calibrate_pii(run, out, by=by, value=value, held_out=held_out)  # type: ignore[arg-type]
    tell(json, lambda: calibration_document(found), lambda: calibration_page(found))


@app.command(epilog=epilog("ullage pii compare nf4.jsonl.run int8.jsonl.run", RAN))
def compare(
    runs: Annotated[
        list[str] | None, typer.Argument(metavar="[RUN]...", help="Finished verifications of one file.")
    ] = None,
    input: Annotated[str | None, typer.Option(help="Verify this file with each model first.")] = None,
    out: Annotated[str | None, typer.Option(help="The folder for those verifications.")] = None,
    model_path: Annotated[list[str] | None, typer.Option(help="Give it once for each model.")] = None,
    precision: Annotated[list[str] | None, typer.Option(help="Once for each; default nf4.")] = None,
    gpus: Gpus = "local",
    fields: Fields = None,
    offsets: Offsets = "characters",
    system: System = None,
    prompt_tokens: PromptTokens = 256,
    download: Annotated[bool, typer.Option("--download", help="Fetch models where needed.")] = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Several models or precisions beside one another."""
    from ullage.kinds.pii.documents import comparison_document
    from ullage.kinds.pii.field_options import fields_from
    from ullage.kinds.pii.finished import compare_pii
    from ullage.kinds.pii.tables import comparison_page
    from ullage.kinds.pii.verbs import verify_with_each

    folders = [Path(run) for run in runs or ()]
    wrong: dict[str, str] = {}
    if input is not None or model_path:
        if input is None or out is None or not model_path:
            raise InputError("give --input, --out and --model-path, or finished runs alone")
        done, wrong = verify_with_each(
            input,
            out,
            model_path,
            precision or ["nf4"],
            gpus=gpus,
            fields=fields_from(fields or ()),
            offsets=offsets,  # type: ignore[arg-type]
            system=system,
            prompt_tokens=prompt_tokens,
            download=download,
            quiet=quiet,
        )
        folders += done
    if not folders and not wrong:
        raise InputError("give finished runs, or --input, --out and --model-path")
    rows = compare_pii(folders)
    tell(json, lambda: comparison_document(rows), lambda: comparison_page(rows))
    if wrong:
        raise InputError(*(f"{name}: {line}" for name, said in wrong.items() for line in said.splitlines()))
