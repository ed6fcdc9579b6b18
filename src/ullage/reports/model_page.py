"""Models and GPUs on the terminal."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.text import Text

from ullage.facts.price import LABELS
from ullage.reports.figures import UNKNOWN, ends, number
from ullage.reports.model_document import layer_counts, parameters_by_component, stored_bytes
from ullage.reports.tables import NARROW, new_table, print_hanging, print_table

if TYPE_CHECKING:
    from ullage.facts.architecture import Model
    from ullage.facts.gpu import Gpu
    from ullage.facts.price import Price


LEAST_ROOM: Final = 24
"""Columns that names need for a list that they begin."""
BASES: Final = (
    "usable: what torch reports, of which a verdict counts the low end. measured: on such cards; derived: "
    "from the driver's figure (Apple: from Metal's); assumed: from the size the maker states alone. "
    "$/h: the cheapest on-demand price of a card, * of a marketplace or a spot one where there is no other. "
    "--json has every source"
)
"""How the memory of cards is known."""


def show_model(model: Model, console: Console) -> None:
    """Parameters by component, and what the layers are."""
    from ullage.facts.diffusion import Pipeline

    console.print(f"{model.name} ({model.model_type}), stored as {model.dtype}", highlight=False)
    table = new_table(
        "parameters",
        (
            "component",
            "count",
        ),
        right=("count",),
    )
    for name, count in parameters_by_component(model).items():
        table.add_row(name, f"{count:,}")
    table.add_row("all", f"{model.parameters:,}", style="bold")
    if not isinstance(model, Pipeline) and model.active_parameters != model.parameters:
        table.add_row("active per token", f"{model.active_parameters:,}")
    console.print(table)
    layers = layer_counts(model)
    if layers:
        listed = ", ".join(f"{count}x {label}" for label, count in layers.items())
        console.print(f"layers: {listed}", highlight=False)
    stored = stored_bytes(model)
    if stored:
        console.print(f"stored: {stored:,} bytes", highlight=False)
    console.print(f"source: {model.source}", style="dim", highlight=False, soft_wrap=True)


def show_models(models: Iterable[Model], console: Console) -> None:
    """The catalog. No name is cut: one too long for its column has a line of its own."""
    columns = ("name", "parameters", "type", "dtype")
    rows = [(model.name, f"{model.parameters:,}", model.model_type, model.dtype) for model in models]
    widths = [max(map(len, cells)) for cells in zip(columns, *rows, strict=True)]
    room = min(console.width - sum(2 + width for width in widths[1:]), widths[0])
    console.print(Text("models in the catalog", style="italic"))
    for at, (name, count, kind, dtype) in enumerate((columns, *rows)):
        style = "" if at else "bold"
        rest = f"  {count:>{widths[1]}}  {kind:{widths[2]}}  {dtype}"
        if room >= max(len(name), LEAST_ROOM):
            print_hanging("", f"{name:{room}}{rest}", console, style)
            continue
        print_hanging("", name, console, style)
        apart = " " * room + rest if room >= LEAST_ROOM else f"  {count} {kind} {dtype}"
        print_hanging("", apart, console, style)


def show_gpus(gpus: Iterable[tuple[Gpu, Price | None]], console: Console) -> None:
    table = new_table("GPUs")
    columns = ["name", "usable GiB", "basis", "GB/s", "TFLOPS", "$/h"]
    columns += [] if console.width < NARROW else ["as of", "can"]
    for name in columns:
        left = name in ("name", "basis", "can", "as of")
        whole = name in ("name", "usable GiB")
        table.add_column(name, justify="left" if left else "right", no_wrap=whole)
    for gpu, price in gpus:
        cells = [
            gpu.id,
            number(gpu.usable.low) if gpu.usable.low == gpu.usable.high else ends(gpu.usable),
            gpu.usable_basis,
            UNKNOWN if gpu.bandwidth is None else f"{gpu.bandwidth / 1e9:,.0f}",
            UNKNOWN if gpu.operations is None else f"{gpu.operations.per_second / 1e12:,.0f}",
            "" if price is None else f"{price.usd_per_hour:.2f}{'' if price.label == LABELS[0] else '*'}",
            "" if price is None else str(price.as_of),
            " ".join(gpu.abilities.names),
        ]
        table.add_row(*cells[: len(columns)])
    table.caption = BASES
    table.caption_justify = "left"
    print_table(table, console)
