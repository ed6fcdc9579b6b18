"""The analyses of stored states."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ullage.reports.pages.page import Part, Prose
from ullage.reports.pages.table import Table


def survey_page(document: Mapping[str, Any]) -> Iterator[Part]:
    """A row for each site; quartiles as their median."""
    numbers = ("rows", "D_eff", "participation", "beta", "norm", "sparsity", "Hoyer")
    rows = []
    for site, each in document["sites"].items():
        beta = document["compression"].get(site)
        figures = (
            f"{each['rows']:,}",
            str(each["effective_dimension"]),
            f"{each['participation_ratio']:.1f}",
            "-" if beta is None else f"{beta:.2f}",
            f"{each['norm_quartiles'][1]:.3g}",
            f"{each['sparsity_quartiles'][1]:.2f}",
            f"{each['hoyer_quartiles'][1]:.2f}",
        )
        rows.append((site, *figures))
    yield Table(("site", *numbers), tuple(rows), frozenset(numbers))
    yield Prose(
        "D_eff: components for 90 % of the variance; beta: D_eff of this site a layer before over its own"
    )
