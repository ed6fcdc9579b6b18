"""What GPUs cost per hour, with the date and source of every price."""

from __future__ import annotations

import re
from functools import cache, lru_cache
from typing import NamedTuple

from ullage.facts.data_file import read_data
from ullage.facts.gpu import Gpu, GpuSet
from ullage.facts.gpu_catalog import find_gpu, gpu_names

EXCLUDED = frozenset({"on-demand, superseded", "seed estimate"})
"""Kinds of offer that are kept as data but never used for a cost."""
GIVEN = "your description"
"""Kind and date of a price that the user says."""
SET_SIZES = (1, 2, 3, 4, 8)
"""Cards of one kind that are usually offered together."""


class Price(NamedTuple):
    """One offer, in US dollars per GPU and hour. `as_of` is the date its source states, or empty."""

    provider: str
    gpu: str
    low: float
    high: float
    kind: str
    as_of: str
    source: str


@cache
def all_prices() -> tuple[Price, ...]:
    """Every offer in data/prices.json."""
    return tuple(
        Price(
            row["provider"],
            row["gpu"],
            row["usd_per_gpu_hour_low"],
            row["usd_per_gpu_hour_high"],
            row["kind"],
            row.get("as_of") or "",
            row["source"],
        )
        for row in read_data("prices.json")["prices"]
    )


@cache
def _usable_offers() -> dict[str, list[Price]]:
    """By GPU id, cheapest first."""
    found: dict[str, list[Price]] = {}
    for offer in sorted(all_prices(), key=lambda offer: offer.low):
        if offer.kind not in EXCLUDED:
            found.setdefault(offer.gpu, []).append(offer)
    return found


def prices_of(gpu: str) -> tuple[Price, ...]:
    """Usable offers for a GPU id, cheapest first."""
    return tuple(_usable_offers().get(gpu, ()))


def _offers(gpu: Gpu) -> tuple[Price, ...]:
    """As `prices_of`; of a card by the user's own figures the price among them alone."""
    if not gpu.described:
        return prices_of(gpu.id)
    price = gpu.usd_per_hour
    if price is None:
        return ()
    return (Price("your own", gpu.id, price, price, GIVEN, GIVEN, "the card's description"),)


class SetPrice(NamedTuple):
    """Dollars per hour for a whole set at the cheapest dated offer of each card."""

    usd_per_hour: float
    provider: str
    as_of: str
    source: str


@lru_cache(maxsize=1024)
def price_of(gpus: GpuSet) -> SetPrice | None:
    """The cheapest dated offers, card by card; one whose source states no day where there is no
    other, and None when a card has no offer at all."""
    total, offers = 0.0, []
    for gpu in gpus.gpus:
        known = [offer for offer in _offers(gpu) if offer.as_of]
        if not known:
            return None
        dated = [offer for offer in known if re.match(r"\d{4}-\d{2}-\d{2}", offer.as_of)]
        offer = (dated or known)[0]
        total += offer.low
        offers.append(offer)
    return SetPrice(
        total,
        " + ".join(dict.fromkeys(offer.provider for offer in offers)),
        min(offer.as_of for offer in offers),
        "; ".join(dict.fromkeys(offer.source for offer in offers)),
    )


def priced_sets() -> list[tuple[float, GpuSet]]:
    """Every one-card-type set of the usual sizes that has a dated price, cheapest first."""
    found = []
    for name in gpu_names():
        gpu = find_gpu(name)
        one = price_of(GpuSet((gpu,)))
        if one is None:
            continue
        found += [(one.usd_per_hour * size, GpuSet((gpu,) * size)) for size in SET_SIZES]
    return sorted(found, key=lambda pair: (pair[0], len(pair[1].gpus)))
