"""An extraction from the command line's few words, without a workload file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TypedDict

from pydantic import ValidationError

from ullage.capture.tokens import read_records, tokenize
from ullage.errors import InputError
from ullage.facts.architecture import Architecture
from ullage.facts.model import open_model
from ullage.kinds.extract.section import Section
from ullage.runtime.loader import load_tokenizer
from ullage.spec.capture import Positions
from ullage.spec.role import Role
from ullage.spec.workload import Workload


class Settings(TypedDict, total=False):
    """What an extraction may be told beside its model, its texts and its sites; `gpus` is what it is planned
    for, `chunk` streams in chunks of so many tokens, `new_tokens` are generated and captured too."""

    positions: Positions
    gpus: str
    batch: int
    precision: str
    chunk: int | None
    new_tokens: int
    temperature: float
    store: Literal["safetensors", "npy"]
    keep_precision: Literal["compute", "fp32", "fp16", "bf16"]
    text_field: str


DEFAULTS: Final[Settings] = {
    "positions": "all",
    "gpus": "local",
    "batch": 8,
    "precision": "auto",
    "chunk": None,
    "new_tokens": 0,
    "temperature": 0.0,
    "store": "safetensors",
    "keep_precision": "compute",
    "text_field": "text",
}


def short_form(
    model: str, input: str, sites: Sequence[str], settings: Settings, *, download: bool
) -> Workload:
    """The workload these words mean, planned for the longest text of `input`.

    Raises InputError for records that cannot be read or values a workload file could not hold.
    """
    unknown = sorted(set(settings) - set(DEFAULTS))
    if unknown:
        raise InputError(f"{unknown[0]}: no such setting; one of {', '.join(DEFAULTS)}")
    given: Settings = {**DEFAULTS, **settings}
    try:
        role = Role.model_validate({"model": model, "precision": given["precision"]})
        found = _read(role, model, input, given["text_field"], download)
        section = _section(input, given)
        body = _body(role, input, sites, given, found)
        workload = Workload.model_validate(body).model_copy(update={"section": section})
    except ValidationError as error:
        raise InputError(*_said(error)) from error
    wrong = [
        f"{'.'.join(map(str, mistake.path))}: {mistake.problem}" for mistake in section.mistakes(workload)
    ]
    if wrong:
        raise InputError(*wrong)
    return workload


def _section(input: str, given: Settings) -> Section:
    return Section.model_validate(
        {
            "input": input,
            "text_field": given["text_field"],
            "generate": given["new_tokens"] > 0,
            "temperature": given["temperature"],
            "store": given["store"],
        }
    )


def _body(role: Role, input: str, sites: Sequence[str], given: Settings, found: _Extent) -> dict[str, object]:
    capture: dict[str, object] = {
        "sites": tuple(sites),
        "positions": given["positions"],
        "keep": "disk",
        "precision": given["keep_precision"],
    }
    if given["positions"] == "span":
        capture["span_tokens"] = found.widest_span
    return {
        "kind": "extract",
        "name": f"states of {Path(input).name}",
        "roles": {"model": role},
        "batch": given["batch"],
        "prompt_tokens": found.longest,
        "new_tokens": given["new_tokens"],
        "examples": found.records,
        "captures": [capture],
        "memory": {"streaming_chunk_size": given["chunk"]},
    }


@dataclass(slots=True)
class _Extent:
    """What a plan is made for: how many records there are, tokens of the longest, and of the widest span."""

    records: int = 0
    longest: int = 0
    widest_span: int = 1


def _read(role: Role, model: str, input: str, text_field: str, download: bool) -> _Extent:
    """Reads every record once; none is held."""
    described = open_model(model)
    if not isinstance(described, Architecture):
        raise InputError(f"{model}: a diffusion pipeline has no layers to read")
    tokenizer = load_tokenizer(role, None, download)
    records = read_records(Path(input), text_field)
    found = _Extent()
    for record in tokenize(records, input, tokenizer, described.vocab_size, text_field, True):
        begin, end = record.span or (0, 1)
        found.records += 1
        found.longest = max(found.longest, len(record.tokens))
        found.widest_span = max(found.widest_span, end - begin)
    return found


def _said(error: ValidationError) -> list[str]:
    return [f"{'.'.join(map(str, e['loc']))} is {e['input']!r}: {e['msg']}" for e in error.errors()]
