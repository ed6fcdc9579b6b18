"""What is said beside a price: by which label it is, what other numbers of the card cost, how old it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ullage.text import either

if TYPE_CHECKING:
    from ullage.facts.price import Price
    from ullage.planning.cost import Cost

OLD: Final = 365
"""Days behind the newest list, from which on a price is said to be old."""
MONTH: Final = 365.25 / 12


def another_label(cost: Cost) -> str:
    """Where the label that was asked for has no price for so many of the cards; empty where it has."""
    if not cost.instead_of:
        return ""
    none = f"no {cost.instead_of} price for these cards"
    if cost.other_counts:
        none = f"{cost.instead_of} for {either(map(str, cost.other_counts))} together alone"
    return f"{none}: all here is by {cost.label} prices"


def other_counts(cost: Cost) -> str:
    """Where no list has so many of the card at its lowest price; empty where one has."""
    if cost.instead_of or not cost.other_counts:
        return ""
    return f"less a card in machines of {either(map(str, cost.other_counts))}"


def age(cost: Cost) -> str:
    """Where it is old beside the newest list; empty where it is not."""
    if cost.days_behind <= OLD:
        return ""
    return f"a price {round(cost.days_behind / MONTH)} months older than the newest"


def of_a_card(price: Price, label: str) -> str:
    """`0.79`, `0.79*` by another label than that, `0.79 (8x)` where it is rented in eights alone."""
    several = price.counts and 1 not in price.counts
    among = f" ({min(price.counts)}x)" if several else ""
    return f"{price.usd_per_hour:.2f}{among}{'' if price.label == label else '*'}"
