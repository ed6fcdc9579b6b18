"""An extraction from the command line's few words, without a workload file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ullage.capture.tokens import Tokenized, read_records, tokenize
from ullage.errors import InputError
from ullage.facts.architecture import Architecture
from ullage.facts.model import open_model
from ullage.kinds.extract.section import Section
from ullage.runtime.loader import load_tokenizer
from ullage.spec.role import Role
from ullage.spec.workload import Workload


def short_form(
    model: str,
    input: str,
    sites: Sequence[str],
    *,
    positions: str,
    batch: int,
    precision: str,
    chunk: int | None,
    new_tokens: int,
    temperature: float,
    store: str,
    keep_precision: str,
    text_field: str,
    download: bool,
) -> Workload:
    """The workload these words mean, planned for the longest text of `input`.

    Raises InputError for records that cannot be read or values a workload file could not hold.
    """
    try:
        role = Role.model_validate({"model": model, "precision": precision})
    except ValidationError as error:
        raise InputError(_said(error)) from error
    found = _read(role, model, input, text_field, download)
    spans = [record.span[1] - record.span[0] for record in found if record.span is not None]
    capture: dict[str, Any] = {"sites": tuple(sites), "positions": positions, "keep": "disk"}
    capture["precision"] = keep_precision
    if positions == "span":
        capture["span_tokens"] = max(spans, default=1)
    body: dict[str, Any] = {
        "kind": "extract",
        "name": f"states of {Path(input).name}",
        "roles": {"model": role},
        "batch": batch,
        "prompt_tokens": max(len(record.tokens) for record in found),
        "new_tokens": new_tokens,
        "examples": len(found),
        "captures": [capture],
        "memory": {"streaming_chunk_size": chunk},
    }
    own = {
        "input": input,
        "text_field": text_field,
        "generate": new_tokens > 0,
        "temperature": temperature,
        "store": store,
    }
    try:
        section = Section.model_validate(own)
        workload = Workload.model_validate(body).model_copy(update={"section": section})
    except ValidationError as error:
        raise InputError(_said(error)) from error
    wrong = [
        f"{'.'.join(map(str, mistake.path))}: {mistake.problem}" for mistake in section.mistakes(workload)
    ]
    if wrong:
        raise InputError("\n".join(wrong))
    return workload


def _read(role: Role, model: str, input: str, text_field: str, download: bool) -> list[Tokenized]:
    """Every record as tokens: how many there are and how long they are is what the plan is made for."""
    described = open_model(model)
    if not isinstance(described, Architecture):
        raise InputError(f"{model}: a diffusion pipeline has no layers to read")
    tokenizer = load_tokenizer(role, None, download)
    return tokenize(
        read_records(Path(input), text_field), input, tokenizer, described.vocab_size, text_field, True
    )


def _said(error: ValidationError) -> str:
    return "\n".join(f"{'.'.join(map(str, e['loc']))} is {e['input']!r}: {e['msg']}" for e in error.errors())
