"""The analyses of stored states on the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console

from ullage.reports.tables import new_table, print_named


def show_survey(document: Mapping[str, Any], console: Console) -> None:
    """A row for each site; quartiles as their median."""
    numbers = ("rows", "D_eff", "participation", "beta", "norm", "sparsity", "Hoyer")
    table = new_table("", ("site", *numbers), numbers)
    for site, each in document["sites"].items():
        beta = document["compression"].get(site)
        table.add_row(
            site,
            f"{each['rows']:,}",
            str(each["effective_dimension"]),
            f"{each['participation_ratio']:.1f}",
            "-" if beta is None else f"{beta:.2f}",
            f"{each['norm_quartiles'][1]:.3g}",
            f"{each['sparsity_quartiles'][1]:.2f}",
            f"{each['hoyer_quartiles'][1]:.2f}",
        )
    print_named(table, console)
    console.print(
        "D_eff: components for 90 % of the variance; beta: D_eff of this site a layer before over its own"
    )
