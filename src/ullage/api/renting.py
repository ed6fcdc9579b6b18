"""What it costs to rent the cards for a workload."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ullage.facts.price import Prices
    from ullage.planning.renting import Renting
    from ullage.spec.workload import Workload

SHOWN: Final = 10
"""Sets that are worth showing at once."""


def rentals(
    workload: Workload,
    *,
    base: Path | None = None,
    prices: Prices | str | Path | None = None,
    label: str | None = None,
    provider: str | None = None,
    most: int | None = SHOWN,
) -> Renting:
    """The card sets that hold a workload, each with what it takes and costs in all, cheapest first.

    Sets are compared by prices of one `label` (`on-demand`, `marketplace` or `spot`), each by the cheapest
    list that has all of it, or by `provider`'s alone; `prices` is a list of one's own. `most` is how many are
    shown, None: all. Raises InputError where no card can do what the workload asks for, for an unknown label
    or provider, and SpecError for a list with mistakes.
    """
    from ullage.workloads.renting import rent

    return rent(workload, base, lists(prices, label, provider), most)


def lists(
    prices: Prices | str | Path | None, label: str | None = None, provider: str | None = None
) -> Prices:
    """Price lists as they are given: a file of one's own, or none for those that come with Ullage, compared
    by one label, and by one provider alone where it is named. Raises as `rentals`."""
    from ullage.facts.price import Prices, known_prices
    from ullage.spec.price_list import read_prices

    if prices is None:
        prices = known_prices()
    found = prices if isinstance(prices, Prices) else read_prices(Path(prices))
    return found if label is None and provider is None else found.only(label, provider)
