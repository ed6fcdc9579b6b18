"""docs/claims.md: what became of every claim in examples/claims.

    .venv/bin/python tools/claims.py          (or: make pages)

The tests hold the page against what is computed now; this remakes it, after a change of
numbers that is meant.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Final

from ullage.api import audit
from ullage.planning.audit import RULINGS, Audit
from ullage.reports.audit_page import RULE, audit_page
from ullage.reports.pages.markdown import markdown
from ullage.reports.pages.page import Page, Part, Prose, Section
from ullage.reports.pages.table import Table

ROOT: Final = Path(__file__).parents[1]
CLAIMS: Final = ROOT / "examples/claims"
PAGE: Final = ROOT / "docs/claims.md"
OPENING: Final = (
    "Every claim about memory in five hand-written guides, held against what Ullage computes: the files of "
    "examples/claims, as `ullage audit FILE --all` shows them. examples/claims/numbers.jsonl lists each "
    "number with a unit in these guides, and why it is no claim where it is none."
)
MEANING: Final = (
    "computed: what is expected, and in brackets from the least to the most, in the unit of the claim; "
    "bytes: the expected value; off: from the nearest end of the interval"
)


def page() -> str:
    """The page, as Markdown."""
    audits = [audit(path) for path in sorted(CLAIMS.glob("*.yaml"))]
    sections = [section for found in audits for section in _sections(found)]
    said = tuple(Prose(text) for text in (OPENING, RULE, MEANING))
    return markdown(Page("Claims of five guides", tuple(sections), (*said, _summary(audits))))


def _summary(audits: list[Audit]) -> Part:
    """A row for each guide, and one for all."""
    rows = [
        (
            Path(found.path).stem,
            *(str(found.counts[ruling]) for ruling in RULINGS[:4]),
            str(len(found.findings)),
            _units(found),
        )
        for found in audits
    ]
    whole = Counter({ruling: sum(found.counts[ruling] for found in audits) for ruling in RULINGS})
    count = str(sum(len(found.findings) for found in audits))
    rows.append(("all", *(str(whole[ruling]) for ruling in RULINGS[:4]), count, ""))
    columns = ("guide", *RULINGS[:4], "claims", "units of sizes")
    return Table(columns, tuple(rows), frozenset(columns[1:-1]))


def _units(found: Audit) -> str:
    return ", ".join(f"{unit} ({count})" for unit, count in found.units.items())


def _sections(found: Audit) -> list[Section]:
    shown = audit_page(found, everything=True, exact=True)
    own = Section(found.document, tuple(part for part in shown.opening if part != Prose(RULE)))
    return [
        own,
        *(
            section._replace(level=3, title=f"{section.title}: {Path(found.path).stem}")
            for section in shown.sections
        ),
    ]


def main() -> None:
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
