"""A verification from few words, without a workload file."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal, TypedDict

from pydantic import ValidationError

from ullage.errors import InputError
from ullage.kinds.pii.section import VERIFIER, Section
from ullage.spec.workload import Workload

BATCHES: Final = (64, 32, 16, 8, 4, 2, 1)
"""What `batch: auto` tries, the first that fits."""
OF_ROLE: Final = ("precision", "engine")
OF_WORK: Final = ("prompt_tokens", "new_tokens", "examples")


class Settings(TypedDict, total=False):
    """What a verification may be told beside its model and its files.

    `gpus` is what it is planned for. What the role and the work take is named as in a workload file, and
    so is the rest, which stands under `pii:` there.
    """

    batch: int | Literal["auto"]
    gpus: str
    precision: str
    engine: str
    prompt_tokens: int
    new_tokens: int
    examples: int
    fields: dict[str, str | tuple[str, ...]]
    offsets: Literal["auto", "characters", "utf16", "utf8"]
    detect: str
    least_score: float
    languages: tuple[str, ...]
    types: str | None
    only_types: tuple[str, ...]
    system: str | None
    template: str | None
    verdicts: tuple[str, str]
    threshold: float | None
    calibration: str | None
    redact: str
    everywhere: bool
    key_env: str
    explain: str
    explain_fraction: float | None
    strict: bool
    longest_line: str
    prefix_tokens: int
    branch_tokens: int
    candidates_per_record: float
    least_mass: float
    max_failed: float
    locate: bool


DEFAULTS: Final[Settings] = {
    "batch": "auto",
    "gpus": "local",
    "precision": "nf4",
    "engine": "transformers",
    "prompt_tokens": 256,
    "new_tokens": 64,
    "examples": 1000,
}


def short_form(model: str, input: Path, given: Settings, batch: int) -> Workload:
    """The workload these words mean; bare types are located unless `new_tokens` is 0.

    `given` holds all of `DEFAULTS`. Raises InputError for values a workload file could not hold.
    """
    values: dict[str, object] = dict(given)
    own = {name: value for name, value in values.items() if name not in DEFAULTS}
    body = {
        "kind": "pii",
        "name": "verify personal data",
        "roles": {VERIFIER: {"model": model, **{name: values[name] for name in OF_ROLE}}},
        **{name: values[name] for name in OF_WORK},
        "batch": batch,
    }
    try:
        section = Section.model_validate({"locate": given["new_tokens"] > 0, **own, "input": str(input)})
        workload = Workload.model_validate(body).model_copy(update={"section": section})
    except ValidationError as error:
        lines = [f"{'.'.join(map(str, e['loc']))} is {e['input']!r}: {e['msg']}" for e in error.errors()]
        raise InputError(*lines) from error
    wrong = [f"{'.'.join(map(str, one.path))}: {one.problem}" for one in section.mistakes(workload)]
    if wrong:
        raise InputError(*wrong)
    return workload
