"""Numbers of a report as its tables write them; nothing where there is none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ullage.reports.pages.table import Table
from ullage.reports.pages.words import Span, Words


def share(value: float | None) -> str:
    """`66.1%`."""
    return "" if value is None else f"{value:.1%}"


def three(value: float | None) -> str:
    """`0.951`."""
    return "" if value is None else f"{value:.3f}"


def within(value: str, ends: Sequence[float] | None, form: str = "{:.3f}") -> Words:
    """`0.950 0.900 to 0.990`: a value, and aside what it lies between."""
    if ends is None:
        return value
    low, high = (form.format(each) for each in ends)
    return value, " ", Span(f"{low} to {high}", "note")


def counts(name: str, found: Mapping[str, int]) -> Table:
    """Things and how many there are of each."""
    return Table(
        (name, "count"),
        tuple((Span(each), f"{count:,}") for each, count in found.items()),
        frozenset({"count"}),
    )


def listing(found: Mapping[str, object]) -> str:
    """`a: 1, b: 2`."""
    return ", ".join(f"{name}: {value}" for name, value in found.items())
