"""The cards that are known, as JSON."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from ullage.documents import document
from ullage.facts.abilities import Ability
from ullage.facts.gpu import Gpu
from ullage.facts.price import Price, Prices
from ullage.units import Interval


@dataclass(frozen=True, slots=True)
class GpuDocument:
    """A card with its cheapest price, of one in a machine of as many as one of `price_counts`, of any number
    where these are none; bytes, and each second bytes and operations."""

    name: str
    usable: Interval
    basis: Literal["measured", "derived", "assumed"]
    source: str
    bandwidth_bytes_per_second: float | None
    flops_per_second: float | None
    flops_basis: Literal["derived", "assumed"] | None
    can: tuple[Ability, ...]
    usd_per_hour: float | None
    price_label: str | None
    price_provider: str | None
    price_as_of: str | None
    price_counts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class GpusDocument:
    """All of them, and whose prices were compared."""

    gpus: tuple[GpuDocument, ...]
    label: str
    provider: str
    file: str


def gpus_document(gpus: Iterable[tuple[Gpu, Price | None]], lists: Prices) -> dict[str, object]:
    """As JSON."""
    cards = tuple(_card(*each) for each in gpus)
    said = GpusDocument(cards, lists.label, lists.provider, lists.file)
    return document("gpus", GpusDocument, said)


def _card(gpu: Gpu, price: Price | None) -> GpuDocument:
    basis, rate = gpu.usable_basis, None if gpu.operations is None else gpu.operations.basis
    assert basis != "given", gpu.id
    assert rate != "given", gpu.id
    return GpuDocument(
        gpu.id,
        gpu.usable,
        basis,
        gpu.usable_source,
        gpu.bandwidth,
        None if gpu.operations is None else gpu.operations.per_second,
        rate,
        gpu.abilities.names,
        None if price is None else price.usd_per_hour,
        None if price is None else price.label,
        None if price is None else price.provider,
        None if price is None else str(price.as_of),
        () if price is None else price.counts,
    )
