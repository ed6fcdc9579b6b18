"""Models and GPUs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

from ullage.facts.price import LABELS
from ullage.reports.beside_price import of_a_card
from ullage.reports.figures import UNKNOWN, ends, number
from ullage.reports.model_document import layer_counts, parameters_by_component, stored_bytes
from ullage.reports.pages.page import Part, Prose
from ullage.reports.pages.table import Table
from ullage.reports.pages.words import Span, Words

if TYPE_CHECKING:
    from ullage.facts.architecture import Model
    from ullage.facts.gpu import Gpu
    from ullage.facts.price import Price, Prices


BASES: Final = (
    "usable: what torch reports, of which a verdict counts the low end. measured: on such cards; derived: "
    "from the driver's figure (Apple: from Metal's); assumed: from the size the maker states alone. "
)
"""How the memory of cards is known."""


def model_page(model: Model) -> Iterator[Part]:
    """Parameters by component, and what the layers are."""
    from ullage.facts.diffusion import Pipeline

    yield Prose(Span(f"{model.name} ({model.model_type}), stored as {model.dtype}"))
    rows: list[tuple[Words, ...]] = [
        (name, f"{count:,}") for name, count in parameters_by_component(model).items()
    ]
    rows.append((Span("all", "strong"), Span(f"{model.parameters:,}", "strong")))
    if not isinstance(model, Pipeline) and model.active_parameters != model.parameters:
        rows.append(("active per token", f"{model.active_parameters:,}"))
    yield Table(("component", "count"), tuple(rows), frozenset({"count"}), title="parameters")
    if layers := layer_counts(model):
        yield Prose(f"layers: {', '.join(f'{count}x {label}' for label, count in layers.items())}")
    if stored := stored_bytes(model):
        yield Prose(f"stored: {stored:,} bytes")
    yield Prose(Span(f"source: {model.source}"), "note")


def models_page(models: Iterable[Model]) -> Table:
    """The catalog."""
    rows = tuple((model.name, f"{model.parameters:,}", model.model_type, model.dtype) for model in models)
    columns = ("name", "parameters", "type", "dtype")
    return Table(columns, rows, frozenset({"parameters"}), title="models in the catalog")


def gpus_page(gpus: Iterable[tuple[Gpu, Price | None]], lists: Prices) -> Table:
    """Every card that is known, and its price by these lists."""
    listed = tuple(gpus)
    rows = tuple(
        (
            gpu.id,
            number(gpu.usable.low) if gpu.usable.low == gpu.usable.high else ends(gpu.usable),
            gpu.usable_basis,
            UNKNOWN if gpu.bandwidth is None else f"{gpu.bandwidth / 1e9:,.0f}",
            UNKNOWN if gpu.operations is None else f"{gpu.operations.per_second / 1e12:,.0f}",
            "" if price is None else of_a_card(price, lists.label),
            "" if price is None else str(price.as_of),
            " ".join(gpu.abilities.names),
        )
        for gpu, price in listed
    )
    right = ("usable GiB", "GB/s", "TFLOPS", "$/h")
    columns = ("name", "usable GiB", "basis", "GB/s", "TFLOPS", "$/h", "as of", "can")
    caption = f"{BASES}{_prices(lists, [price for _, price in listed if price is not None])}"
    return Table(columns, rows, frozenset(right), caption, "GPUs", frozenset({"as of", "can"}))


def _prices(lists: Prices, shown: Sequence[Price]) -> str:
    of, file = (
        f" {word} {name}" if name else "" for word, name in (("of", lists.provider), ("in", lists.file))
    )
    others = " or ".join(label for label in LABELS if label != lists.label)
    several = any(price.counts and 1 not in price.counts for price in shown)
    return (
        f"$/h: one card by its cheapest {lists.label} price{of}{file}, * by {others} ones where there is none"
        f"{'; (8x): in a machine of so many alone' if several else ''}. --json has every source"
    )
