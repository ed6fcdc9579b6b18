"""What is known without a workload: cards with their prices, and models."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ullage.facts.architecture import Model
    from ullage.facts.gpu import Gpu
    from ullage.facts.price import Price


def cards() -> list[tuple[Gpu, Price | None]]:
    """Every card in the catalog, and the cheapest offer known for it, in US dollars an hour; None where no
    list has it."""
    from ullage.facts.gpu_catalog import find_gpu, gpu_names
    from ullage.facts.price import known_prices

    known = [find_gpu(name) for name in gpu_names()]
    return [(gpu, known_prices().cheapest(gpu)) for gpu in known]


def models() -> list[Model]:
    """Every model in the catalog."""
    from ullage.facts.catalog import find_model, model_names

    return [find_model(name) for name in model_names()]
