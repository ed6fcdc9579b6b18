"""What GPUs cost per hour: price lists, each with its provider, label, day and source."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import cache, cached_property
from typing import Final, Literal, NamedTuple

from ullage.errors import InputError, UnknownNameError
from ullage.facts.data_file import read_data
from ullage.facts.gpu import Gpu, GpuSet
from ullage.facts.gpu_catalog import find_gpu, gpu_names
from ullage.units import GIB

Label = Literal["on-demand", "marketplace", "spot"]
LABELS: Final[tuple[Label, ...]] = ("on-demand", "marketplace", "spot")
"""Kept until given back; rented out by third parties on their own machines; may be taken away. In this order
cards that one label does not have are looked for in the next."""
CURRENCY: Final = "USD"
"""Of every price: no exchange rate is known here."""
GIVEN: Final = "your description"
"""Label and day of a price that the user says of a card."""
SET_SIZES: Final = (1, 2, 3, 4, 8)
"""Cards of one kind that are compared."""
ROUNDING: Final = 1e-9
FRESH: Final = timedelta(days=180)
"""An older price, counted from the newest day of all lists, stands only where no newer one does."""


class Price(NamedTuple):
    """What one card costs an hour, in US dollars, in a machine with so many of them as `counts` says; none:
    the list prices by the card. `host_bytes` is that machine's host memory, None where the list is silent."""

    provider: str
    gpu: str
    usd_per_hour: float
    label: Label
    as_of: date
    source: str
    counts: tuple[int, ...] = ()
    host_bytes: int | None = None

    def is_for(self, count: int) -> bool:
        """Whether so many of the card are rented at this price."""
        return not self.counts or count in self.counts


class SetPrice(NamedTuple):
    """Dollars per hour for a whole set. `as_of` is the oldest day among its prices, `days_behind` the newest
    of all lists; `host_bytes` the host memory that comes with it, None where the list does not say.
    `other_counts` are numbers of the same card that have a lower price a card. `instead_of` is the label that
    was asked for where it has no price for the set: these are then all numbers that it has one for."""

    usd_per_hour: float
    provider: str
    as_of: str
    source: str
    label: str
    host_bytes: int | None = None
    instead_of: str = ""
    other_counts: tuple[int, ...] = ()
    days_behind: int = 0


@dataclass(frozen=True, eq=False)
class Prices:
    """Price lists, and what of them is compared: prices of one `label`, and of one `provider` where it is
    named. `file` is the user's own list, empty for the lists that come with Ullage; `instead_of` the label
    that was asked for, where `having` took another."""

    offers: tuple[Price, ...]
    label: Label = "on-demand"
    provider: str = ""
    file: str = ""
    instead_of: Label | None = None

    def only(self, label: str | None = None, provider: str | None = None) -> Prices:
        """The same lists, compared by another label or one provider alone. Raises InputError for a label
        that does not exist, UnknownNameError for a provider without a list."""
        known = {each.provider.casefold(): each.provider for each in self.offers}
        if label is not None and label not in LABELS:
            raise InputError(f"label {label!r}: prices are {', '.join(LABELS)}")
        if provider is not None and provider.casefold() not in known:
            raise UnknownNameError(
                "provider", provider, known.values(), f"known: {', '.join(known.values())}"
            )
        chosen = self.provider if provider is None else known[provider.casefold()]
        labels = [each for each in LABELS if each == (label or self.label)]
        return replace(self, label=labels[0], provider=chosen, instead_of=None)

    def having(self, gpus: GpuSet) -> Prices:
        """The same lists, compared by the first label, their own before all others, that has a price for the
        set; as they are where none has."""
        ways = (
            self if label == self.label else replace(self, label=label, instead_of=self.label)
            for label in self._labels()
        )
        return next((each for each in ways if each.of(gpus) is not None), self)

    def of(self, gpus: GpuSet) -> SetPrice | None:
        """What a set costs by the cheapest list of the label that has all of its cards; None where none has.

        A set is one machine, so it is of one provider; where no provider rents out such a mixture, each kind
        of card is counted at its own cheapest.
        """
        if gpus not in self._known:
            found = self._by(self.label, gpus)
            self._known[gpus] = None if found is None else self._beside_others(found, gpus)
        return self._known[gpus]

    def sets(self) -> list[tuple[float, GpuSet]]:
        """Every set of one kind of card and a usual size that the label has a price for, cheapest first."""
        return list(self._sets)

    def cheapest(self, gpu: Gpu) -> Price | None:
        """The lowest price of a card rented by itself, as `having` finds it; where no list has that, of one
        in a machine of several."""
        alone = (self._offers_of(gpu, label, 1) for label in self._labels())
        among = (self._offers_of(gpu, label) for label in self._labels())
        found = next((each for each in (*alone, *among) if each), None)
        return None if found is None else min(_fresh(found, self.newest), key=_dollars)

    def unpriced(self) -> tuple[str, ...]:
        """Cards of the catalog for which the label has no price."""
        priced = {each.gpu for each in self._usable if each.label == self.label}
        return tuple(name for name in gpu_names() if name not in priced)

    @cached_property
    def newest(self) -> date:
        """The newest day of all lists."""
        return max((each.as_of for each in self.offers), default=date.min)

    @cached_property
    def _sets(self) -> tuple[tuple[float, GpuSet], ...]:
        found = []
        for name in dict.fromkeys(each.gpu for each in self._usable if each.label == self.label):
            for size in SET_SIZES:
                gpus = GpuSet((find_gpu(name),) * size)
                price = self._by(self.label, gpus)
                if price is not None:
                    found.append((price.usd_per_hour, gpus))
        return tuple(sorted(found, key=lambda pair: (pair[0], len(pair[1].gpus))))

    @cached_property
    def _known(self) -> dict[GpuSet, SetPrice | None]:
        return {}

    @cached_property
    def _usable(self) -> tuple[Price, ...]:
        """Of each provider, label and card the newest list alone."""
        own = [each for each in self.offers if self.provider in ("", each.provider)]
        days: dict[tuple[str, str, str], date] = {}
        for each in own:
            key = (each.provider, each.label, each.gpu)
            days[key] = max(days.get(key, each.as_of), each.as_of)
        return tuple(each for each in own if each.as_of == days[each.provider, each.label, each.gpu])

    def _labels(self) -> Iterator[Label]:
        yield self.label
        yield from (label for label in LABELS if label != self.label)

    def _by(self, label: Label, gpus: GpuSet) -> SetPrice | None:
        """By the lists of one label."""
        counts = Counter(gpus.gpus)
        kinds = [self._offers_of(gpu, label, count) for gpu, count in counts.items()]
        if not all(kinds):
            return None
        listed = [{each.provider for each in kind} for kind in kinds if kind[0].source != GIVEN]
        whole = sorted(set.intersection(*listed)) if len(listed) > 1 else []
        ways = [[_of_provider(kind, name) for kind in kinds] for name in whole]
        if not ways:
            ways = [[min(_fresh(kind, self.newest), key=_dollars) for kind in kinds]]
        return min((_sum(way, [*counts.values()]) for way in ways), key=lambda price: price.usd_per_hour)

    def _beside_others(self, price: SetPrice, gpus: GpuSet) -> SetPrice:
        """With how old it is, and what other numbers of its card cost."""
        day = None if price.as_of == GIVEN else date.fromisoformat(price.as_of)
        return price._replace(
            instead_of=self.instead_of or "",
            other_counts=tuple(sorted(self._other_counts(price, gpus))),
            days_behind=0 if day is None else (self.newest - day).days,
        )

    def _other_counts(self, price: SetPrice, gpus: GpuSet) -> set[int]:
        """As a SetPrice has them; of a mixed set, and of cards by the user's own figures, none."""
        kinds = set(gpus.gpus)
        if len(kinds) > 1 or any(gpu.described for gpu in kinds):
            return set()
        most = math.inf if self.instead_of else price.usd_per_hour / len(gpus.gpus) * (1 - ROUNDING)
        offers = _fresh(self._offers_of(gpus.gpus[0], self.instead_of or self.label), self.newest)
        return {count for each in offers if each.usd_per_hour < most for count in each.counts}

    def _offers_of(self, gpu: Gpu, label: Label, count: int | None = None) -> list[Price]:
        """What so many of a card, or any number, are offered at; of one by the user's own figures the price
        among these."""
        if not gpu.described:
            found = (each for each in self._usable if (each.gpu, each.label) == (gpu.id, label))
            return [each for each in found if count is None or each.is_for(count)]
        price = gpu.usd_per_hour
        return [] if price is None else [Price("your own", gpu.id, price, label, self.newest, GIVEN)]


def _of_provider(prices: Sequence[Price], provider: str) -> Price:
    """The cheapest of that provider, or of what the user says."""
    return min((each for each in prices if each.provider == provider or each.source == GIVEN), key=_dollars)


def _dollars(price: Price) -> float:
    return price.usd_per_hour


def _fresh(prices: list[Price], newest: date) -> list[Price]:
    """Those that are not old, or all where all are."""
    return [each for each in prices if newest - each.as_of <= FRESH] or prices


def _sum(prices: Sequence[Price], counts: Sequence[int]) -> SetPrice:
    """What so many of each come to together."""
    listed = [each for each in prices if each.source != GIVEN]
    hosts = [price.host_bytes for price in listed]
    return SetPrice(
        sum(price.usd_per_hour * count for price, count in zip(prices, counts, strict=True)),
        " + ".join(dict.fromkeys(price.provider for price in prices)),
        str(min(price.as_of for price in listed)) if listed else GIVEN,
        "; ".join(dict.fromkeys("the card's description" if p.source == GIVEN else p.source for p in prices)),
        listed[0].label if listed else GIVEN,
        hosts[0] if len(hosts) == 1 else None,
    )


@cache
def known_prices() -> Prices:
    """The lists in data/prices.json."""
    return Prices(tuple(_offers(read_data("prices.json")["lists"])))


def _offers(lists: Iterable[dict[str, object]]) -> Iterator[Price]:
    for each in lists:
        day = date.fromisoformat(str(each["date"]))
        for row in each["offers"]:  # type: ignore[attr-defined]
            yield Price(
                str(each["provider"]),
                row["gpu"],
                row["usd_per_card_hour"],
                each["label"],  # type: ignore[arg-type]
                day,
                str(each["source"]),
                tuple(row.get("counts", ())),
                row["host_gib"] * GIB if "host_gib" in row else None,
            )


def price_of(gpus: GpuSet) -> SetPrice | None:
    """What a set costs by the lists that come with Ullage, on demand or by the next label that has it."""
    return known_prices().having(gpus).of(gpus)
