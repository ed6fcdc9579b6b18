"""Parameters of experts: what one layer's mixture is made of, and the products of all that were chosen."""

from __future__ import annotations

from typing import NamedTuple

from ullage.memory.training.autograd import Meter, Symbol, rooted
from ullage.memory.training.linear import Matrix
from ullage.memory.training.operations import cast


class Bank(NamedTuple):
    """One parameter of so many `experts`, `width` bytes an element; its gradient is asked for where it is
    `trained`."""

    experts: int
    inputs: int
    outputs: int
    width: int
    trained: bool


class Mixture(NamedTuple):
    """A layer's router, its experts' `first` projections (gate and up as one) and `last` ones, and what every
    token uses beside them: gate, up and down projection in `shared`, and its own `gate` to one number."""

    router: Matrix
    first: Bank
    last: Bank
    shared: tuple[Matrix, ...] = ()
    gate: Matrix | None = None


def grouped(m: Meter, x: Symbol, bank: Bank) -> Symbol:
    """torch's grouped_mm over rows sorted by expert: no autocast knows it, so what comes in takes the
    weights' dtype (transformers 5.19, integrations/moe.py)."""
    x = cast(m, x, bank.width)
    rows, width, trained = x.elements // bank.inputs, bank.width, bank.trained
    size, inputs = bank.experts * bank.inputs * bank.outputs, bank.inputs
    needed = x.node is not None

    def back(g: Symbol) -> list[Symbol | None]:
        found = m.new(rows * inputs, width) if needed else None
        if trained:
            m.gradients.append(m.new(size, width))
        return [found]

    if trained and not needed:
        x = rooted(m, x)
    return m.made(rows * bank.outputs, width, [x], back, [x] if trained else [])
