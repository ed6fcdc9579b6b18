"""Operations on symbols that take, spread, lay and sum parts of tensors: no arithmetic.

Source of what is kept: tools/autograd/derivatives.yaml of torch 2.13.
"""

from __future__ import annotations

from collections.abc import Sequence

from ullage.memory.training.autograd import Meter, Symbol


def split(m: Meter, x: Symbol, sizes: Sequence[int]) -> list[Symbol]:
    """torch.split: views, whose gradients wait for one another and are then joined into one of the whole's
    size (split_with_sizes_backward)."""
    elements, width = x.elements, x.width
    waiting: list[Symbol] = []

    def whole(_: Symbol) -> list[Symbol | None]:
        found = m.new(elements, width)
        waiting.clear()
        return [found]

    def waits(g: Symbol) -> list[Symbol | None]:
        waiting.append(g)
        return [m.new(0, width)]

    joint = m.made(elements, width, [x], whole, storage=x.storage)
    return [m.made(size, width, [joint], waits, storage=x.storage) for size in sizes]


def spread(m: Meter, x: Symbol, elements: int) -> Symbol:
    """`x.expand(...)`: the same bytes for every head; its gradient is summed."""
    before, width = x.elements, x.width
    return m.made(elements, width, [x], lambda g: [m.new(before, width)], storage=x.storage)


def laid(m: Meter, base: Symbol, x: Symbol) -> Symbol:
    """`base[...].copy_(x)`: the same bytes; on the way back a copy of the whole gradient, one of the slice,
    and zeros where it was (CopySlices, torch/csrc/autograd/functions/tensor.cpp)."""
    elements, size, width = base.elements, x.elements, base.width

    def back(g: Symbol) -> list[Symbol | None]:
        whole, piece = m.new(elements, width), m.new(size, width)
        m.touch(size * width)
        return [whole, piece]

    return m.made(elements, width, [base, x], back, storage=base.storage)


def gathered(m: Meter, x: Symbol, elements: int, places: Symbol) -> Symbol:
    """x[places]: a copy; its gradient is added into zeros of the whole's size."""
    before, width = x.elements, x.width
    return m.made(elements, width, [x], lambda g: [m.new(before, width)], [places])


def selected(m: Meter, x: Symbol, elements: int, places: Symbol) -> Symbol:
    """torch.topk or gather of a row's largest: `places` says which."""
    return gathered(m, x, elements, places)


def summed(m: Meter, x: Symbol, elements: int) -> Symbol:
    """x.sum over one axis: its gradient is seen from every place of it."""
    before, width = x.elements, x.width
    return m.made(elements, width, [x], lambda g: [Symbol(g.storage, before, width)])
