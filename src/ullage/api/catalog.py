"""What is known without a workload: cards with their prices, and models."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from ullage.facts.architecture import Model
    from ullage.facts.gpu import Gpu
    from ullage.facts.price import Price, Prices


def cards(
    *,
    prices: Prices | str | Path | None = None,
    label: str | None = None,
    provider: str | None = None,
) -> list[tuple[Gpu, Price | None]]:
    """Every card in the catalog, and the cheapest offer known for it, in US dollars an hour; None where no
    list has it.

    An offer is of one card rented by itself, or where no list has that, of a card in a machine of several; of
    the label, or where it has neither, of the next. `prices`, `label` and `provider` are those of `rentals`,
    which says what it raises for them.
    """
    from ullage.api.renting import lists
    from ullage.facts.gpu_catalog import find_gpu, gpu_names

    compared = lists(prices, label, provider)
    known = [find_gpu(name) for name in gpu_names()]
    return [(gpu, compared.cheapest(gpu)) for gpu in known]


def models() -> list[Model]:
    """Every model in the catalog."""
    from ullage.facts.catalog import find_model, model_names

    return [find_model(name) for name in model_names()]
