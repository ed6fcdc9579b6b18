"""An extraction from the command line's few words, without a workload file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TypedDict

from ullage.capture.tokens import Tokenized, read_records, tokenize
from ullage.errors import InputError, SpecError
from ullage.facts.architecture import Architecture
from ullage.facts.gpu_set import parse_gpu_set
from ullage.facts.rope import way_to
from ullage.kinds.extract.section import Section
from ullage.runtime.loader import load_tokenizer
from ullage.spec.parse import parse_mapping
from ullage.spec.positions import Entry
from ullage.spec.rope import model_of
from ullage.spec.workload import Workload
from ullage.workloads.opened import opened_model

ROLE: Final = "model"


class Settings(TypedDict, total=False):
    """What an extraction may be told beside its model, its texts and its sites; `gpus` is what it is planned
    for, `batch` None takes as many texts as fill a pass, `chunk` streams in chunks of so many tokens,
    `new_tokens` are generated and captured too, `backward` asks for gradients as well, `use_reentrant` for
    torch's older way of checkpointing layers there."""

    positions: str | Sequence[Entry]
    layers: Literal["all"] | Sequence[int]
    gpus: str
    batch: int | None
    precision: str
    rope: str | None
    chunk: int | None
    new_tokens: int
    backward: bool
    use_reentrant: bool
    temperature: float
    store: Literal["safetensors", "npy"]
    keep_precision: Literal["compute", "fp32", "fp16", "bf16"]
    text_field: str
    too_long: Literal["error", "truncate"]
    special_tokens: bool
    logits: Literal["none", "last", "all"]
    allow_nan: bool


FULL_PASS_TOKENS: Final = 2048
FULL_PASS_TOKENS_ON_CARDS: Final = 16384
"""Tokens of a pass from which more of them make it no faster, token for token."""
FEWEST: Final = 8
"""Texts of a batch, however long they are, where they fit."""
DEFAULTS: Final[Settings] = {
    "positions": "all",
    "layers": "all",
    "gpus": "local",
    "batch": None,
    "precision": "auto",
    "rope": None,
    "chunk": None,
    "new_tokens": 0,
    "backward": False,
    "use_reentrant": True,
    "temperature": 0.0,
    "store": "safetensors",
    "keep_precision": "compute",
    "text_field": "text",
    "too_long": "error",
    "special_tokens": True,
    "logits": "none",
    "allow_nan": False,
}
OF_SECTION: Final = (
    "text_field",
    "backward",
    "use_reentrant",
    "temperature",
    "store",
    "too_long",
    "special_tokens",
    "logits",
)
"""Settings that are fields of the kind's own part of a file, by the same name."""
SAID_AS: Final = {
    f"roles.{ROLE}.": "",
    "captures.0.precision": "keep_precision",
    "captures.0.": "",
    "extract.": "",
    "memory.streaming_chunk_size": "chunk",
}
"""Places in the workload by what the short form calls them."""


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
        workload = parse_mapping(_body(model, input, sites, given), {"extract": lambda: Section})
    except SpecError as error:
        raise SpecError(_said(line) for line in error.mistakes) from error
    found = _read(workload, input, given, download)
    changes: dict[str, object] = {"prompt_tokens": found.planned, "examples": found.records}
    if given["batch"] is None:
        changes["batch"] = found.filling(given["gpus"])
    if given["positions"] == "span":
        (capture,) = workload.captures
        changes["captures"] = (capture.model_copy(update={"span_tokens": found.widest_span}),)
    return workload.model_copy(update=changes)


def _body(model: str, input: str, sites: Sequence[str], given: Settings) -> dict[str, object]:
    """As a file would say it, before any text has been read."""
    capture: dict[str, object] = {
        "sites": list(sites),
        "positions": given["positions"],
        "layers": given["layers"],
        "keep": "disk",
        "precision": given["keep_precision"],
        "allow_nan": given["allow_nan"],
    }
    if given["positions"] == "span":
        capture["span_tokens"] = 1
    return {
        "kind": "extract",
        "name": f"states of {Path(input).name}",
        "roles": {ROLE: {"model": model, "precision": given["precision"], "rope": given["rope"]}},
        "batch": 1 if given["batch"] is None else given["batch"],
        "prompt_tokens": 1,
        "new_tokens": given["new_tokens"],
        "captures": [capture],
        "memory": {"streaming_chunk_size": given["chunk"]},
        "extract": {
            "input": input,
            "generate": given["new_tokens"] > 0,
            **{name: value for name, value in given.items() if name in OF_SECTION},
        },
    }


@dataclass(slots=True)
class _Extent:
    """What a plan is made for: how many records there are, tokens of the longest, and of the widest span."""

    records: int = 0
    planned: int = 0
    widest_span: int = 1

    def filling(self, gpus: str) -> int:
        """A batch of the longest texts that fills a pass on `gpus`; no more than there are texts."""
        processor = parse_gpu_set(gpus).abilities.processor
        full = FULL_PASS_TOKENS if processor else FULL_PASS_TOKENS_ON_CARDS
        whole = max(FEWEST, full // max(self.planned, 1))
        return min(1 << (whole.bit_length() - 1), 1 << max(self.records - 1, 0).bit_length())


def _read(workload: Workload, input: str, given: Settings, download: bool) -> _Extent:
    """Reads every record once; none is held. Raises InputError for one beyond the model's window."""
    role = workload.roles[ROLE]
    described = model_of(role, {role.model: opened_model(role.model)})
    if not isinstance(described, Architecture):
        raise InputError(f"{role.model}: a diffusion pipeline has no layers to read")
    tokenizer = load_tokenizer(role, None, download)
    records = read_records(Path(input), given["text_field"])
    vocabulary, special = described.vocab_size, given["special_tokens"]
    # The last token that is written is not read.
    window = described.max_positions
    most = None if window is None else max(window - max(given["new_tokens"] - 1, 0), 1)
    found, longest, beyond = _Extent(), None, 0
    for record in tokenize(records, input, tokenizer, vocabulary, given["text_field"], special):
        begin, end = record.span or (0, 1)
        found.records += 1
        found.planned = max(found.planned, len(record.tokens))
        found.widest_span = max(found.widest_span, end - begin)
        if most is not None and len(record.tokens) > most:
            beyond += 1
            longest = record if longest is None or len(record.tokens) > len(longest.tokens) else longest
    if longest is not None and most is not None:
        if given["too_long"] == "error":
            way = way_to(described, len(longest.tokens) + (window or 0) - most)
            raise InputError(_too_long(input, longest, beyond, role.model, most) + way)
        found.planned = most
    return found


def _too_long(input: str, longest: Tokenized, count: int, model: str, most: int) -> str:
    others = f", and {count - 1:,} other texts are too long" if count > 1 else ""
    return (
        f"{input}:{longest.line}: record {longest.id!r} has {len(longest.tokens):,} tokens{others}; {model} "
        f"has room for {most:,}; shorten it, or cut what is too long: --too-long truncate"
    )


def _said(line: str) -> str:
    """A mistake with its place by the name of the setting."""
    for place, name in SAID_AS.items():
        if line.startswith(place):
            return name + line.removeprefix(place)
    return line
