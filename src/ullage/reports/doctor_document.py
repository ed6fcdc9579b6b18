"""A diagnosis as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from ullage.documents import ByName, document
from ullage.facts.health.cards import Cards
from ullage.facts.health.diagnosis import Diagnosis, Part, Readiness, RoleReadiness
from ullage.facts.health.extras import Extra
from ullage.facts.health.finding import Finding
from ullage.facts.health.host import Host
from ullage.facts.health.tried import Tried
from ullage.planning.verdict import Verdict


@dataclass(frozen=True, slots=True)
class FileDocument:
    """Whether a file can be run on the machine; no verdict where no plan could be made."""

    title: str
    kind: str
    gpus: str
    verdict: Verdict | None
    roles: tuple[RoleReadiness, ...]
    findings: tuple[Finding, ...]
    runs: bool
    fits: bool


@dataclass(frozen=True, slots=True)
class DiagnosisDocument:
    """Bytes, seconds, and bytes per second."""

    quick: bool
    problems: int
    parts: tuple[Annotated[Part, ByName("name", "seconds", "findings")], ...]
    cards: Cards
    libraries: tuple[Tried, ...]
    extras: tuple[Annotated[Extra, ByName("name", "purpose", "packages", "missing")], ...]
    host: Host
    runs: int
    file: FileDocument | None


def diagnosis_document(found: Diagnosis) -> dict[str, object]:
    """As JSON."""
    said = DiagnosisDocument(
        found.quick,
        sum(each.state == "problem" for each in found.findings),
        found.parts,
        found.cards,
        tuple(found.tried.values()),
        found.extras,
        found.host,
        found.runs,
        None if found.file is None else _file(found.file),
    )
    return document("diagnosis", DiagnosisDocument, said)


def _file(file: Readiness) -> FileDocument:
    verdict = file.verdict or None
    return FileDocument(
        file.title, file.kind, file.gpus, verdict, file.roles, file.findings, file.runs, file.fits
    )
