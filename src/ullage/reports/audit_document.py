"""Audited claims as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from typing_extensions import TypedDict

from ullage.documents import Signed, document
from ullage.planning.audit import Audit, Finding, Ruling
from ullage.planning.verdict import Verdict
from ullage.spec.amount import Fits, Measure
from ullage.units import Estimate

Counts = TypedDict(
    "Counts", {"wrong": int, "rounded": int, "right": int, "not decidable": int, "unconfirmed": int}
)


@dataclass(frozen=True, slots=True)
class ClaimDocument:
    """A claim by its line in the file, and by its lines and section in the document, with what is computed;
    what is `claimed` from low to high, in bytes, shares, seconds or tokens a second as `measure` says."""

    line: int
    lines: tuple[int, ...]
    section: str
    says: str
    metric: str
    model: str | None
    workload: str | None
    measure: Measure | None
    claimed: tuple[float, float] | None
    claimed_verdict: Fits | None
    ruling: Ruling
    computed: Estimate | None
    verdict: Verdict | None
    ullage: Signed | None
    off: float | None
    said: str


@dataclass(frozen=True, slots=True)
class AuditDocument:
    """Every claim, in the order of the file."""

    file: str
    audited: str
    source: str
    counts: Counts
    units: Mapping[str, int]
    claims: tuple[ClaimDocument, ...]


def audit_document(found: Audit) -> dict[str, object]:
    """As JSON."""
    said = AuditDocument(
        found.path,
        found.document,
        found.source,
        cast("Counts", found.counts),
        found.units,
        tuple(map(_claim, found.findings)),
    )
    return document("audit", AuditDocument, said)


def _claim(found: Finding) -> ClaimDocument:
    claim, amount = found.claim, found.amount
    return ClaimDocument(
        found.line,
        () if claim is None else claim.lines,
        "" if claim is None else claim.section,
        "" if claim is None else claim.says or str(claim.claimed),
        "" if claim is None else claim.metric,
        None if claim is None else claim.model,
        None if claim is None else claim.workload,
        None if amount is None else amount.measure,
        None if amount is None or amount.fits else (amount.low, amount.high),
        None if amount is None else amount.fits,
        found.ruling,
        found.computed,
        found.verdict,
        found.ullage,
        found.off,
        found.said,
    )
