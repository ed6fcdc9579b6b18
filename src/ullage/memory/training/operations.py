"""Operations on symbols: what each makes, keeps for its way back, and holds on it.

Source of what is kept: tools/autograd/derivatives.yaml of torch 2.13. Elements are of whole tensors, widths
are bytes of one element.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ullage.memory.training.autograd import Meter, Symbol, rooted

FULL: Final = 4
STATISTIC: Final = 4
"""Bytes of a row's mean, root or log-sum-exp."""


def shared(symbol: Symbol) -> Symbol:
    """Another name for the same bytes, without a way back."""
    return Symbol(symbol.storage, symbol.elements, symbol.width)


def cast(m: Meter, x: Symbol, width: int) -> Symbol:
    """`x.to(dtype)`: itself where it is that already."""
    if x.width == width:
        return x
    elements, before = x.elements, x.width
    return m.made(elements, width, [x], lambda g: [cast(m, g, before)])


def view(m: Meter, x: Symbol) -> Symbol:
    """Reshaped or transposed: the same bytes."""
    return m.made(x.elements, x.width, [x], lambda g: [shared(g)], storage=x.storage)


def copied(m: Meter, x: Symbol) -> Symbol:
    """`x.contiguous()` of what does not lie so, or `x.clone()`."""
    return m.made(x.elements, x.width, [x], lambda g: [shared(g)])


def _turned(m: Meter, wide: int, *operands: Symbol) -> None:
    """A processor turns operands of another dtype into the result's first, each as a whole."""
    if m.processor:
        m.touch(wide * sum(2 * each.elements for each in operands if each.width != wide))


def added(m: Meter, x: Symbol, y: Symbol) -> Symbol:
    """x + y of one shape, in the wider dtype."""
    wide, first, second = max(x.width, y.width), x.width, y.width
    _turned(m, wide, x, y)
    return m.made(x.elements, wide, [x, y], lambda g: [cast(m, shared(g), first), cast(m, shared(g), second)])


def shifted(m: Meter, x: Symbol, wide: int = 0) -> Symbol:
    """x + what needs no gradient: a mask, a constant."""
    before = x.width
    return m.made(x.elements, max(x.width, wide), [x], lambda g: [cast(m, shared(g), before)])


def scaled(m: Meter, x: Symbol, wide: int = 0) -> Symbol:
    """x times what needs no gradient and lives anyway, `wide` bytes an element: a number, cosines of all
    layers."""
    elements, before = x.elements, x.width
    wide = max(before, wide)
    _turned(m, wide, x)

    def back(g: Symbol) -> list[Symbol | None]:
        return [cast(m, m.new(elements, wide), before)]

    return m.made(elements, wide, [x], back)


def negated(m: Meter, x: Symbol) -> Symbol:
    """-x: nothing is kept."""
    elements, width = x.elements, x.width
    return m.made(elements, width, [x], lambda g: [m.new(elements, width)])


def product(m: Meter, x: Symbol, y: Symbol) -> Symbol:
    """x * y of one shape, each of which the other's gradient needs."""
    elements, first, second = x.elements, x.width, y.width
    wide = max(first, second)
    _turned(m, wide, x, y)
    needs = x.node is not None, y.node is not None

    def back(g: Symbol) -> list[Symbol | None]:
        return [
            cast(m, m.new(elements, g.width), first) if needs[0] else None,
            cast(m, m.new(elements, g.width), second) if needs[1] else None,
        ]

    saves = [each for each, other in ((x, y), (y, x)) if other.node is not None]
    return m.made(elements, wide, [x, y], back, saves)


def weighed(m: Meter, x: Symbol, weight: int, width: int, trained: bool) -> Symbol:
    """x times a parameter of `weight` elements, one for each of a row."""
    elements, before = x.elements, x.width
    wide = max(before, width)
    _turned(m, wide, x)
    needed = x.node is not None

    def back(g: Symbol) -> list[Symbol | None]:
        found = cast(m, m.new(elements, wide), before) if needed else None
        if trained:
            m.touch(elements * wide)
            m.gradients.append(m.new(weight, width))
        return [found]

    if trained and x.node is None:
        x = rooted(m, x)
    return m.made(elements, wide, [x], back, [x] if trained else [])


def pointwise(m: Meter, x: Symbol, temporary: int = 0) -> Symbol:
    """An activation that keeps its input; on the way back `temporary` more tensors of its size."""
    elements, width = x.elements, x.width

    def back(g: Symbol) -> list[Symbol | None]:
        m.touch((1 + temporary) * elements * width)
        return [m.new(elements, width)]

    return m.made(elements, width, [x], back, [x])


def part(m: Meter, x: Symbol, elements: int) -> Symbol:
    """A slice: the same bytes; its gradient is laid into zeros of the whole's size."""
    whole, width = x.elements, x.width
    return m.made(elements, width, [x], lambda g: [m.new(whole, width)], storage=x.storage)


def joined(m: Meter, parts: Sequence[Symbol]) -> Symbol:
    """torch.cat: a copy; gradients are slices of its own."""
    elements, width = sum(each.elements for each in parts), max(each.width for each in parts)

    def back(g: Symbol) -> list[Symbol | None]:
        return [Symbol(g.storage, size, width) for size in sizes]

    sizes = [each.elements for each in parts]
    return m.made(elements, width, parts, back)


def chunked(m: Meter, x: Symbol, sizes: Sequence[int]) -> list[Symbol]:
    """torch.chunk or split: views, whose gradients are each laid into zeros of the whole's size."""
    return [part(m, x, size) for size in sizes]


def normalized(m: Meter, x: Symbol, rows: int) -> Symbol:
    """x /= x.sum(-1): the same bytes; keeps what was there before, and the sums."""
    elements, width = x.elements, x.width
    sums, before = m.new(rows, width), m.new(elements, width)
    return m.made(elements, width, [x], lambda g: [m.new(elements, width)], [sums, before], storage=x.storage)


def proportioned(m: Meter, x: Symbol, share: Symbol) -> Symbol:
    """x times one number a row, each of which the other's gradient needs."""
    elements, first, few, second = x.elements, x.width, share.elements, share.width
    wide = max(first, second)
    _turned(m, wide, x, share)
    needs = x.node is not None, share.node is not None

    def back(g: Symbol) -> list[Symbol | None]:
        # Both are there before the engine casts or sums either (validate_outputs, autograd/engine.cpp).
        of_x = m.new(elements, wide) if needs[0] else None
        product = m.new(elements, wide) if needs[1] else None
        if of_x is not None:
            of_x = cast(m, of_x, first)
        if product is None:
            return [of_x, None]
        found = m.new(few, wide)
        del product
        return [of_x, cast(m, found, second)]

    saves = [each for each, other in ((x, share), (share, x)) if other.node is not None]
    return m.made(elements, wide, [x, share], back, saves)


def repeated(m: Meter, x: Symbol, times: int) -> Symbol:
    """Keys or values for every query's head (`repeat_kv`): a copy; its gradient is summed."""
    if times == 1:
        return x
    elements, width = x.elements, x.width
    return m.made(elements * times, width, [x], lambda g: [m.new(elements, width)])


def root_mean_square(m: Meter, x: Symbol, rows: int, apart: Symbol | None = None) -> Symbol:
    """x * rsqrt(mean(x^2) + eps), written out in fp32 over `rows` rows; the square is of `apart` where that
    is another tensor."""
    elements, size = x.elements, x.elements * FULL

    def of_square(_: Symbol) -> list[Symbol | None]:
        # grad / n, x^1 and 2 x^1, and their product.
        spread = m.new(elements, FULL)
        m.touch(2 * size)
        power = m.new(elements, FULL)
        found = m.new(elements, FULL)
        del spread, power
        return [found]

    def of_scale(g: Symbol) -> list[Symbol | None]:
        found = m.new(elements, FULL)
        m.touch(size)
        return [found, m.new(rows, STATISTIC)]

    of = apart or x
    squared = m.made(elements, FULL, [of], of_square, [of])
    root = m.made(rows, STATISTIC, [squared], lambda g: [shared(g)], keeps=True)
    del squared
    return m.made(elements, FULL, [x, root], of_scale, [x, root])


def layer_norm(m: Meter, x: Symbol, weight: int, width: int, trained: bool, rows: int) -> Symbol:
    """torch's own kernel: keeps its input, means and inverse deviations."""
    elements, before = x.elements, x.width
    statistics = m.new(2 * rows, STATISTIC)

    def back(g: Symbol) -> list[Symbol | None]:
        found = m.new(elements, before)
        if trained:
            m.gradients += [m.new(weight, width), m.new(weight, width)]
        return [found]

    if trained and x.node is None:
        x = rooted(m, x)
    return m.made(elements, before, [x], back, [x, statistics])


def fused_attention(
    m: Meter, q: Symbol, k: Symbol, v: Symbol, elements: int, rows: int, given: Sequence[Symbol]
) -> Symbol:
    """A kernel without scores: keeps queries, keys, values, its output of `elements` and a log-sum-exp
    (`rows` of them); what else it was `given`, a mask, it keeps too."""
    sizes = [(each.elements, each.width) for each in (q, k, v)]
    # FlashAttention-2 (mha_bwd) sums queries' gradients in fp32, those of grouped keys and values by head.
    summed = 0 if m.processor else q.elements * FULL
    if not m.processor and k.elements < q.elements:
        summed += 2 * q.elements * q.width

    def back(g: Symbol) -> list[Symbol | None]:
        found: list[Symbol | None] = [m.new(*size) for size in sizes]
        m.touch(summed)
        return found

    sums = m.new(rows, STATISTIC)
    return m.made(elements, q.width, [q, k, v], back, [q, k, v, sums, *given], keeps=True)


def matrix_product(m: Meter, x: Symbol, y: Symbol, elements: int, width: int = 0) -> Symbol:
    """torch.matmul of two tensors that need gradients: keeps both; in `width` bytes an element where no
    autocast sees it."""
    width = width or m.autocast or x.width
    x, y = cast(m, x, width), cast(m, y, width)
    first, second = x.elements, y.elements
    needs = x.node is not None, y.node is not None

    def back(g: Symbol) -> list[Symbol | None]:
        return [m.new(first, width) if needs[0] else None, m.new(second, width) if needs[1] else None]

    return m.made(elements, width, [x, y], back, [x, y])


def softmax(m: Meter, x: Symbol, width: int) -> Symbol:
    """In `width` bytes an element: keeps its result. On its way back a card first makes the product of that
    and the gradient (softmax_backward_cuda_out, ATen/native/cuda/SoftMax.cu)."""
    x = cast(m, x, width)
    elements, beside = x.elements, 1 if m.processor else 2

    def back(g: Symbol) -> list[Symbol | None]:
        m.touch(beside * elements * width)
        return [m.new(elements, width)]

    return m.made(elements, width, [x], back, keeps=True)


def kept_result(m: Meter, x: Symbol, width: int) -> Symbol:
    """tanh, a sigmoid or a log-softmax, in `width` bytes an element: keeps its result."""
    x = cast(m, x, width)
    elements = x.elements
    return m.made(elements, width, [x], lambda g: [m.new(elements, width)], keeps=True)


def dropped(m: Meter, x: Symbol) -> Symbol:
    """Dropout that drops: keeps a mask, one byte an element."""
    elements, width = x.elements, x.width
    mask = m.new(elements, 1)
    return m.made(elements, width, [x], lambda g: [m.new(elements, width)], [mask])
