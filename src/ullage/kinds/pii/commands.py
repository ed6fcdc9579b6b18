"""`ullage pii`: verify personal data without a workload file, calibrate, compare."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ullage.errors import InputError
from ullage.records.folder import RunFolder
from ullage.reports.terminal import Json, Quiet, Verbose, exit_if_too_many_failed, tell

app = typer.Typer(invoke_without_command=True, no_args_is_help=True, rich_markup_mode=None)
Fields = Annotated[list[str] | None, typer.Option(help="Where records hold what: text=body,candidates=hits.")]
Offsets = Annotated[str, typer.Option(help="What start and end count: characters, utf16, utf8, or auto.")]


@app.callback()
def verify(
    context: typer.Context,
    model_path: Annotated[str | None, typer.Option(help="A folder, or a hub name in the cache.")] = None,
    input: Annotated[
        str | None, typer.Option(help="JSON lines or arrays, CSV, Parquet, .gz, .bz2; -: standard input.")
    ] = None,
    fields: Fields = None,
    offsets: Offsets = "characters",
    output: Annotated[str | None, typer.Option(help="A new file, JSON lines or .gz, in input order.")] = None,
    batch_size: Annotated[str, typer.Option(help="A number, or auto: what the plan fits.")] = "auto",
    precision: Annotated[str | None, typer.Option(help="int8, bf16, fp16, ...; default nf4.")] = None,
    disable_quantization: Annotated[
        bool, typer.Option("--disable-quantization", help="bf16 or fp16.")
    ] = False,
    use_vllm: Annotated[bool, typer.Option("--use-vllm", help="In vLLM, in this process.")] = False,
    gpus: Annotated[str, typer.Option(help="local, cpu, or a set as 1xRTX 4060.")] = "local",
    resume: Annotated[bool, typer.Option("--resume", help="Go on with OUTPUT.run.")] = False,
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Resume even if model, versions or threads differ.")
    ] = False,
    threshold: Annotated[float | None, typer.Option(min=0, max=1, help="Probability of a yes.")] = None,
    calibration: Annotated[str | None, typer.Option(help="What `ullage pii calibrate` wrote.")] = None,
    types: Annotated[list[str] | None, typer.Option(help="These alone: phone,email, or a category.")] = None,
    types_file: Annotated[str | None, typer.Option(help="Definitions of types, YAML.")] = None,
    system: Annotated[
        str | None, typer.Option(help="Instruction with {types} or {type}; default own.")
    ] = None,
    detect: Annotated[str, typer.Option(help="none, missing or all: find candidates by patterns.")] = "none",
    least_score: Annotated[float, typer.Option(min=0, max=1, help="Detected less surely: left out.")] = 0.3,
    languages: Annotated[str, typer.Option(help="Whose patterns are looked for: en,de,es,...")] = "en",
    redact: Annotated[str, typer.Option(help="none, mask, tag or hash.")] = "none",
    everywhere: Annotated[
        bool, typer.Option("--everywhere", help="Redact every place where such a value stands.")
    ] = False,
    explain: Annotated[str, typer.Option(help="none, uncertain, verified, rejected, all.")] = "none",
    strict: Annotated[bool, typer.Option("--strict", help="Stop at the first bad line.")] = False,
    max_failed: Annotated[float, typer.Option(min=0, max=1, help="Share that may fail; more: exit 1.")] = 0.1,
    prompt_tokens: Annotated[int, typer.Option(help="Planned for; longer texts are cut.")] = 256,
    new_tokens: Annotated[int, typer.Option(help="Of a reason, or of a span to be found.")] = 64,
    download: Annotated[bool, typer.Option("--download", help="Fetch the model where needed.")] = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    json: Json = False,
) -> None:
    """Verify personal-data candidates with a small model."""
    if context.invoked_subcommand is not None:
        return
    from ullage.kinds.pii import verbs
    from ullage.kinds.pii.field_options import fields_from
    from ullage.kinds.pii.tables import show_summary, summary_document

    missing = [
        name
        for name, value in (("--model-path", model_path), ("--input", input), ("--output", output))
        if value is None
    ]
    if missing:
        raise InputError(f"give {', '.join(missing)}")
    assert model_path is not None
    assert input is not None
    assert output is not None
    if batch_size != "auto" and not (batch_size.isascii() and batch_size.isdigit()):
        raise InputError(f"--batch-size {batch_size}: neither a number nor auto")
    if disable_quantization and precision is not None:
        raise InputError("give --precision or --disable-quantization, not both")
    found = verbs.verify_pii(
        model_path,
        input,
        output,
        resumed=resume,
        anyway=anyway,
        download=download,
        quiet=quiet,
        verbose=verbose,
        batch="auto" if batch_size == "auto" else int(batch_size),
        precision="auto" if disable_quantization else precision or "nf4",
        engine="vllm" if use_vllm else "transformers",
        gpus=gpus,
        prompt_tokens=prompt_tokens,
        new_tokens=new_tokens,
        threshold=threshold,
        calibration=_absolute(calibration),
        types=_absolute(types_file),
        only_types=tuple(name.strip() for some in types or () for name in some.split(",")),
        detect=detect,
        least_score=least_score,
        languages=tuple(name.strip() for name in languages.split(",")),
        redact=redact,
        everywhere=everywhere,
        explain=explain,
        strict=strict,
        max_failed=max_failed,
        system=system,
        fields=fields_from(fields or ()),
        offsets=offsets,  # type: ignore[arg-type]
    )
    tell(json, lambda: summary_document(found), lambda console: show_summary(found, console))
    exit_if_too_many_failed(RunFolder(Path(f"{output}.run")).record())


def _absolute(path: str | None) -> str | None:
    return None if path is None else str(Path(path).absolute())


@app.command()
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
    from ullage.kinds.pii.finished import calibrate_pii
    from ullage.kinds.pii.tables import calibration_document, show_calibration

    chosen = [
        (name, value)
        for name, value in (("precision", precision), ("recall", recall), ("cost", cost))
        if value is not None
    ]
    if len(chosen) > 1:
        raise InputError("give one of --precision, --recall, --cost")
    by, value = chosen[0] if chosen else (None, 0.0)
    found = calibrate_pii(run, out, by=by, value=value, held_out=held_out)  # type: ignore[arg-type]
    tell(json, lambda: calibration_document(found), lambda console: show_calibration(found, console))


@app.command()
def compare(
    runs: Annotated[
        list[str] | None, typer.Argument(metavar="[RUN]...", help="Finished verifications of one file.")
    ] = None,
    input: Annotated[str | None, typer.Option(help="Verify this file with each model first.")] = None,
    out: Annotated[str | None, typer.Option(help="The folder for those verifications.")] = None,
    model_path: Annotated[list[str] | None, typer.Option(help="Give it once for each model.")] = None,
    precision: Annotated[list[str] | None, typer.Option(help="Once for each; default nf4.")] = None,
    gpus: Annotated[str, typer.Option(help="local, cpu, or a set as 1xRTX 4060.")] = "local",
    fields: Fields = None,
    offsets: Offsets = "characters",
    system: Annotated[
        str | None, typer.Option(help="Instruction with {types} or {type}; default own.")
    ] = None,
    prompt_tokens: Annotated[int, typer.Option(help="Planned for; longer texts are cut.")] = 256,
    download: Annotated[bool, typer.Option("--download", help="Fetch models where needed.")] = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Several models or precisions beside one another."""
    from ullage.kinds.pii.field_options import fields_from
    from ullage.kinds.pii.finished import compare_pii
    from ullage.kinds.pii.tables import comparison_document, show_comparison
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
    tell(json, lambda: comparison_document(rows), lambda console: show_comparison(rows, console))
    if wrong:
        raise InputError(*(f"{name}: {line}" for name, said in wrong.items() for line in said.splitlines()))
