"""The guide that is committed, and docs/guide-headings.md: what it has for hand-written ones' headings.

    .venv/bin/python tools/guides.py          (or: make pages)

The tests hold both against what is computed now; this remakes them, after a change of numbers that is meant.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import yaml

from ullage.api import guide
from ullage.reports.pages.markdown import markdown
from ullage.reports.pages.page import Page, Prose, Section
from ullage.reports.pages.table import Table

ROOT: Final = Path(__file__).parents[1]
FOLDER: Final = ROOT / "examples/guide"
WORKLOAD: Final = ROOT / "examples/werewolf.yaml"
GUIDE: Final = FOLDER / "GPU_REQUIREMENTS.md"
HEADINGS: Final = FOLDER / "headings.yaml"
PAGE: Final = ROOT / "docs/guide-headings.md"


def headings() -> dict[str, list[dict[str, str]]]:
    """By guide, its headings in their order, each with a `counterpart` or a `reason`."""
    found: dict[str, list[dict[str, str]]] = yaml.safe_load(HEADINGS.read_text(encoding="utf-8"))
    return found


def page() -> str:
    """The table, as Markdown."""
    sections = tuple(
        Section(
            name,
            (
                Table(
                    ("heading", "computed"),
                    tuple(
                        (each["heading"], each.get("counterpart") or f"none: {each['reason']}")
                        for each in of_guide
                    ),
                ),
            ),
        )
        for name, of_guide in headings().items()
    )
    said = (
        "Every heading of five hand-written GPU guides, and the heading of a guide by `ullage guide` that "
        "has the same computed from a workload file, or why there is none."
    )
    return markdown(Page("Headings of five guides", sections, (Prose(said),)))


def main() -> None:
    guide([WORKLOAD], GUIDE)
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
