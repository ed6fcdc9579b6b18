"""By whose prices a command compares cards."""

from __future__ import annotations

from typing import Annotated

import typer


def by_prices(
    prices: Annotated[
        str | None, typer.Option(metavar="FILE", help="Your own price list: YAML, JSON or CSV.")
    ] = None,
    label: Annotated[
        str | None, typer.Option(help="Compare on-demand (the default), marketplace or spot prices.")
    ] = None,
    provider: Annotated[str | None, typer.Option(help="Compare this provider's prices alone.")] = None,
) -> dict[str, str | None]:
    """As `api.lists` takes them."""
    return {"prices": prices, "label": label, "provider": provider}
