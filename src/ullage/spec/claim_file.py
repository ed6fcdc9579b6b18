"""A file of claims: each is read by itself, so that a mistake in one leaves the others to be audited."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from ullage.errors import InputError, SpecError
from ullage.files import read_text
from ullage.spec.claim import OF_ONE_MODEL, Claim
from ullage.spec.document import Document, read_document
from ullage.spec.mistake import Mistake

KEYS: Final = ("document", "source", "note", "defaults", "workloads", "claims")
LARGEST_FILE: Final = 4_000_000
DOCUMENTS: Final = frozenset({".md", ".markdown", ".html", ".htm", ".txt", ".rst"})
"""How files end that are read for claims, and are none themselves."""
FORM: Final = "claims: [{claimed: 16 GB, model: meta-llama/Meta-Llama-3-8B-Instruct, precision: fp16}]"


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the list: the line it begins at, and the claim or what is wrong with it."""

    line: int
    claim: Claim | None
    mistakes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ClaimFile:
    """The claims of one document, and the workloads they are about, by name, laid out as files are."""

    path: str
    document: str
    source: str
    note: str
    entries: tuple[Entry, ...]
    workloads: Mapping[str, Mapping[str, object]] = field(default_factory=dict)


def read_claims(path: Path) -> ClaimFile:
    """The claims in a YAML or JSON file.

    Raises SpecError for what is no file of claims, InputError for a file that cannot be read; what is wrong
    with one claim stands at its entry.
    """
    if path.suffix.lower() in DOCUMENTS:
        raise InputError(
            f"{path}: claims stand in a file of YAML or JSON; --draft proposes those of a document: "
            f"ullage audit {shlex.quote(str(path))} --draft > claims.yaml"
        )
    try:
        text = read_text(path, LARGEST_FILE)
    except (OSError, UnicodeDecodeError) as error:
        said = "not UTF-8" if isinstance(error, UnicodeDecodeError) else error.strerror or error
        raise InputError(f"{path}: cannot be read as a file of claims: {said}") from error
    document = read_document(text, str(path))
    data: dict[str, Any] = document.data
    mistakes = [
        Mistake((key,), f"unknown key; there are: {', '.join(KEYS)}", True) for key in data if key not in KEYS
    ]
    for key, kind, said in (
        ("claims", list, f"must be a list of claims, as {FORM}"),
        ("defaults", dict, f"must be a mapping; of {', '.join(OF_ONE_MODEL)}, gpus"),
        ("workloads", dict, "must be a mapping of names to workloads"),
    ):
        if not isinstance(data.get(key, kind()), kind) or (key == "claims" and key not in data):
            mistakes.append(Mistake((key,), said))
    defaults = data.get("defaults") or {}
    if isinstance(defaults, dict):
        wrong = [key for key in defaults if key not in (*OF_ONE_MODEL, "gpus")]
        mistakes += [Mistake(("defaults", key), "is no default that claims have", True) for key in wrong]
    workloads = data.get("workloads") or {}
    if isinstance(workloads, dict):
        wrong = [name for name, each in workloads.items() if not isinstance(each, dict)]
        mistakes += [
            Mistake(("workloads", name), "must be a workload, laid out as a file is") for name in wrong
        ]
    if mistakes:
        raise document.tell(mistakes)
    return ClaimFile(
        str(path),
        str(data.get("document") or path.stem),
        str(data.get("source") or ""),
        str(data.get("note") or ""),
        tuple(_entry(document, at, each, defaults, workloads) for at, each in enumerate(_list(data))),
        workloads,
    )


def _list(data: Mapping[str, Any]) -> list[object]:
    return list(data["claims"])


def _entry(
    document: Document,
    at: int,
    given: object,
    defaults: Mapping[str, object],
    workloads: Mapping[str, object],
) -> Entry:
    path = ("claims", at)
    line = document.line(path)
    if not isinstance(given, dict):
        return Entry(line, None, _told(document, [Mistake(path, f"is no claim; {FORM}")]))
    if "model" in given:
        given = {**defaults, **given}
    mistakes: list[Mistake] = []
    claim = None
    try:
        claim = Claim.model_validate(given)
    except ValidationError as error:
        from ullage.spec.explanation import explain

        mistakes += explain(error, Claim, given, path, ())
    if claim is not None:
        mistakes += [each._replace(path=(*path, *each.path)) for each in _wrong(claim, workloads)]
    return Entry(line, None if mistakes else claim, _told(document, mistakes))


def _wrong(claim: Claim, workloads: Mapping[str, object]) -> list[Mistake]:
    """What does not go together in a claim."""
    found = []
    try:
        claim.amount()
    except InputError as error:
        found.append(Mistake(("claimed",), str(error)))
    if claim.missing or claim.unconfirmed:
        return found
    if (claim.model is None) == (claim.workload is None):
        found.append(Mistake((), "name a model or a workload that it is about, one of the two"))
    if claim.workload is not None:
        if claim.workload not in workloads:
            known = ", ".join(workloads) or "none"
            found.append(Mistake(("workload",), f"{claim.workload!r} is none of the workloads: {known}"))
        own = [key for key in OF_ONE_MODEL if getattr(claim, key) is not None]
        found += [
            Mistake((key,), "is of one model; of a workload, set roles.NAME and its field") for key in own
        ]
    return found


def _told(document: Document, mistakes: list[Mistake]) -> tuple[str, ...]:
    told: SpecError | None = document.tell(mistakes) if mistakes else None
    return () if told is None else told.mistakes
