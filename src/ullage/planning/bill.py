"""All line items after they are placed, and the four totals per device and phase."""

from __future__ import annotations

from importlib import import_module
from typing import NamedTuple

from ullage.memory.needs import Basis, ItemKind, Level
from ullage.units import ZERO, Interval


class LineItem(NamedTuple):
    """One reason for bytes on one device (`gpu:0`, `host`, `disk`) in one phase.

    `layers` is the half-open range of layer numbers it covers, None where it is not about layers.
    """

    role: str
    component: ItemKind
    device: str
    phase: str
    bytes: Interval
    basis: Basis
    level: Level
    layers: tuple[int, int] | None = None
    note: str = ""


class Totals(NamedTuple):
    """Tensors alive, the allocator's segments, the process, everything on the card; each nested."""

    live: Interval = ZERO
    reserved: Interval = ZERO
    process: Interval = ZERO
    device: Interval = ZERO


class Bill(NamedTuple):
    """Every line item; `totals[device][phase]` follows from them."""

    items: tuple[LineItem, ...]
    totals: dict[str, dict[str, Totals]]

    def _repr_html_(self) -> str:
        """The tables that a notebook shows."""
        table: str = import_module("ullage.reports.held").bill_table(self)
        return table
