"""Audited claims as a page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ullage.errors import InputError
from ullage.planning.audit import Audit, Finding, Ruling
from ullage.reports.figures import duration
from ullage.reports.pages.page import Page, Part, Prose, Section
from ullage.reports.pages.table import Table
from ullage.spec.amount import Measure
from ullage.units import GIB, UNITS, Estimate

if TYPE_CHECKING:
    from ullage.spec.claim import Claim

TITLE: Final = "Claims of "
TITLES: Final[dict[Ruling, str]] = {
    "wrong": "Wrong",
    "rounded": "Rounded",
    "right": "Right",
    "not decidable": "Not decidable",
    "unconfirmed": "Unconfirmed, and not judged",
}
SHORT: Final[tuple[Ruling, ...]] = ("wrong", "not decidable", "unconfirmed")
"""What is listed where not all was asked for."""
RULE: Final = (
    "right: the claim and the computed interval have a value in common; rounded: they lie at most 7.4 % "
    "apart, as GB and GiB do, or five percentage points; a verdict is rounded where both say that it fits"
)


def audit_page(found: Audit, *, everything: bool = False, exact: bool = False) -> Page:
    """Counts, and a table of each ruling: of those that are right or rounded only where `everything` is.
    `exact` adds a column of the expected bytes."""
    shown = [each for each in TITLES if found.counts[each] and (everything or each in SHORT)]
    sections = [
        Section(f"{TITLES[each]} ({found.counts[each]})", _parts(found.of(each), exact)) for each in shown
    ]
    return Page(f"{TITLE}{found.document}", tuple(sections), tuple(_opening(found, everything)))


def check_is_audit(path: Path) -> None:
    """Raises InputError where a file is there that is no such page, and would be lost."""
    if not path.is_file():
        return  # what is no file is refused where it is written
    try:
        held = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error
    if held.strip() and f"<title>{TITLE}".encode() not in held:
        raise InputError(f"{path}: is there already and is no page of an audit; name another, or remove it")


def _opening(found: Audit, everything: bool) -> Iterator[Part]:
    said = ", ".join(f"{count} {ruling}" for ruling, count in found.counts.items() if count)
    yield Prose(f"{len(found.findings)} claims: {said or 'none'}")
    if found.source:
        yield Prose(f"Source: {found.source}")
    if found.units:
        yield Prose(
            f"Sizes are claimed in {', '.join(f'{unit} ({count})' for unit, count in found.units.items())}."
        )
    if found.note:
        yield Prose(found.note)
    yield Prose(RULE)
    if not everything and (found.counts["right"] or found.counts["rounded"]):
        yield Prose("--all lists those that are right or rounded too")


def _parts(findings: Sequence[Finding], exact: bool) -> tuple[Part, ...]:
    columns = ("stands at", "claim", "of", "computed", "off", "bytes")
    rows = tuple(_row(each) for each in findings)
    filled = [at for at in range(len(columns)) if any(row[at] for row in rows)]
    kept = filled if exact else [at for at in filled if columns[at] != "bytes"]
    return (
        Table(
            tuple(columns[at] for at in kept),
            tuple(tuple(row[at] for at in kept) for row in rows),
            frozenset({"off", "bytes"}),
        ),
    )


def _row(found: Finding) -> tuple[str, ...]:
    claim, amount, computed = found.claim, found.amount, found.computed
    if claim is None or amount is None:
        return (f"entry at line {found.line}", "", "", found.said, "", "")
    said = found.said or found.verdict or ""
    exact = ""
    if found.ullage is not None:
        left = f"{abs(found.ullage) / GIB:.2f} GiB"
        said += f", {left} free" if found.ullage >= 0 else f", {left} too much"
    elif computed is not None:
        said = _amount(computed, amount.measure, amount.unit)
        exact = f"{computed.expected:,.0f}" if amount.measure == "bytes" else ""
    return (where(found), claim.says or str(claim.claimed), _of(claim), said, _off(found), exact)


def where(found: Finding) -> str:
    """Where a claim stands in its document, else in its file."""
    claim = found.claim
    if claim is None or not (claim.lines or claim.section):
        return f"entry at line {found.line}"
    lines = (
        f"{'line' if len(claim.lines) == 1 else 'lines'} {', '.join(map(str, claim.lines))}"
        if claim.lines
        else ""
    )
    return lines or claim.section


def _of(claim: Claim) -> str:
    metric = "" if claim.metric == "device" else claim.metric.replace("_", " ")
    more = f"beside {', '.join(claim.compared_with)}" if claim.compared_with else ""
    return " ".join(each for each in (metric, claim.about, claim.on, claim.gpus or "", more) if each)


def _off(found: Finding) -> str:
    if found.off is None:
        return ""
    if found.amount is not None and found.amount.measure == "share":
        return f"{found.off * 100:+.0f} points"
    if abs(found.off) < 0.01:
        return f"{found.off:+.1%}"
    return f"{found.off:+.0%}" if found.off < 1 else f"{1 + found.off:.1f} times"


def _amount(value: Estimate, measure: Measure, unit: str) -> str:
    """In the unit of the claim: `15.2 GB (14.9-15.6)`."""
    if measure == "seconds":
        return duration(value.expected)
    factor = {"bytes": float(UNITS.get(unit.upper(), 1)), "share": 0.01}.get(measure, 1.0)
    ends = [each / factor for each in value]
    decimals = 0 if ends[1] >= 100 or measure == "share" else 1 if ends[1] >= 10 else 2
    low, expected, high = (f"{each:,.{decimals}f}" for each in ends)
    spread = "" if low == high else f" ({low} to {high})" if measure == "share" else f" ({low}-{high})"
    return f"{expected} {unit}{spread}"
