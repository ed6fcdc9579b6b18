"""The options of `ullage pii`, by what they are about; each group becomes settings of a verification."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, cast

import typer

from ullage.errors import InputError
from ullage.kinds.pii.short_form import Settings

Fields = Annotated[list[str] | None, typer.Option(help="Where records hold what: text=body,candidates=hits.")]
Offsets = Annotated[str, typer.Option(help="What start and end count: characters, utf16, utf8, or auto.")]
System = Annotated[str | None, typer.Option(help="Instruction with {types} or {type}; default own.")]
PromptTokens = Annotated[int, typer.Option(help="Planned for; longer texts are cut.")]
Gpus = Annotated[str, typer.Option(help="local, cpu, or a set as 1xRTX 4060.")]


def reading(
    fields: Fields = None,
    offsets: Offsets = "characters",
    batch_size: Annotated[str, typer.Option(help="A number, or auto: what the plan fits.")] = "auto",
    precision: Annotated[str | None, typer.Option(help="int8, bf16, fp16, ...; default nf4.")] = None,
    disable_quantization: Annotated[
        bool, typer.Option("--disable-quantization", help="bf16 or fp16.")
    ] = False,
    use_vllm: Annotated[bool, typer.Option("--use-vllm", help="In vLLM, in this process.")] = False,
    gpus: Gpus = "local",
    strict: Annotated[bool, typer.Option("--strict", help="Stop at the first bad line.")] = False,
    max_failed: Annotated[float, typer.Option(min=0, max=1, help="Share that may fail; more: exit 1.")] = 0.1,
    prompt_tokens: PromptTokens = 256,
    new_tokens: Annotated[int, typer.Option(help="Of a reason, or of a span to be found.")] = 64,
) -> Settings:
    """How records are read, by what, and where. Raises InputError."""
    from ullage.kinds.pii.field_options import fields_from

    if batch_size != "auto" and not (batch_size.isascii() and batch_size.isdigit()):
        raise InputError(f"--batch-size {batch_size}: neither a number nor auto")
    if disable_quantization and precision is not None:
        raise InputError("give --precision or --disable-quantization, not both")
    settings = {
        "fields": fields_from(fields or ()),
        "offsets": offsets,
        "batch": "auto" if batch_size == "auto" else int(batch_size),
        "precision": "auto" if disable_quantization else precision or "nf4",
        "engine": "vllm" if use_vllm else "transformers",
        "gpus": gpus,
        "strict": strict,
        "max_failed": max_failed,
        "prompt_tokens": prompt_tokens,
        "new_tokens": new_tokens,
    }
    return cast("Settings", settings)


def asking(
    threshold: Annotated[float | None, typer.Option(min=0, max=1, help="Probability of a yes.")] = None,
    calibration: Annotated[str | None, typer.Option(help="What `ullage pii calibrate` wrote.")] = None,
    types: Annotated[list[str] | None, typer.Option(help="These alone: phone,email, or a category.")] = None,
    types_file: Annotated[str | None, typer.Option(help="Definitions of types, YAML.")] = None,
    system: System = None,
    detect: Annotated[str, typer.Option(help="none, missing or all: find candidates by patterns.")] = "none",
    least_score: Annotated[float, typer.Option(min=0, max=1, help="Detected less surely: left out.")] = 0.3,
    languages: Annotated[str, typer.Option(help="Whose patterns are looked for: en,de,es,...")] = "en",
    redact: Annotated[str, typer.Option(help="none, mask, tag or hash.")] = "none",
    everywhere: Annotated[
        bool, typer.Option("--everywhere", help="Redact every place where such a value stands.")
    ] = False,
    explain: Annotated[str, typer.Option(help="none, uncertain, verified, rejected, all.")] = "none",
) -> Settings:
    """What is asked of the model, and what becomes of its answers."""
    settings = {
        "threshold": threshold,
        "calibration": _absolute(calibration),
        "types": _absolute(types_file),
        "only_types": _named(types or ()),
        "system": system,
        "detect": detect,
        "least_score": least_score,
        "languages": _named((languages,)),
        "redact": redact,
        "everywhere": everywhere,
        "explain": explain,
    }
    return cast("Settings", settings)


def _named(texts: Sequence[str]) -> tuple[str, ...]:
    return tuple(name.strip() for text in texts for name in text.split(","))


def _absolute(path: str | None) -> str | None:
    return None if path is None else str(Path(path).absolute())
