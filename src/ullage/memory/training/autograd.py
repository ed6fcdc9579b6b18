"""Bytes that live while code runs with gradients: symbols without data, under torch's own rules.

A `Symbol` stands for a tensor: it knows its size and which operation made it. Code that is written on symbols
as transformers writes it on tensors holds and drops them as Python does, an operation keeps what its formula
in torch's derivatives.yaml (2.13) saves, and `backward` goes back as torch's engine does: the operation that
ran last first, what it kept dropped once it is done, gradients of one tensor added up in place where nothing
else holds them (accumulate_grad.h, input_buffer.cpp). So a moment's bytes are those of tensors that refer to
one another, and follow from CPython's count of references.

Not counted: what a kernel takes and frees inside one call.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from heapq import heappop, heappush
from itertools import count
from sys import getrefcount
from typing import Final

ALONE: Final = 2
"""References to a storage that one symbol alone holds, as `sys.getrefcount` counts: its own argument too."""


class Enough(Exception):
    """All that a checkpointed part had to keep is there again."""


class Meter:
    """Counts what lives. Invariant: `live` is the sum over storages that are referred to; `peak` its largest
    value since `start`. `gradients` are those of parameters, which stay. With `autocast`, bytes of an
    element, products are made in that width whatever they are given; on a `processor` some code asks whether
    a card's autocast is on, and finds that it is not.

    What is checkpointed (`put_off`) keeps nothing as it runs: the first of its operations that needs what it
    would have kept has it all made again (torch.utils.checkpoint, not reentrant, stopping early).
    """

    def __init__(self, autocast: int = 0, processor: bool = False) -> None:
        self.live = self.peak = 0
        self.autocast, self.processor = autocast, processor
        self.casts: list[Symbol] = []
        self.gradients: list[Symbol] = []
        self.numbers = count()
        self._put_off: list[Node] | None = None
        self._filled: list[Node] = []
        self._waiting: list[Node] = []
        self._again: Callable[[], object] | None = None

    def start(self) -> None:
        """From here on `peak` is that of what follows."""
        self.peak = self.live

    def new(self, elements: int, width: int) -> Symbol:
        """A tensor that needs no gradient."""
        return Symbol(Storage(self, elements * width), elements, width)

    def made(
        self,
        elements: int,
        width: int,
        parents: Sequence[Symbol],
        back: Back,
        saves: Sequence[Symbol] = (),
        storage: Storage | None = None,
        keeps: bool = False,
    ) -> Symbol:
        """What an operation makes of `parents`: with a way back where one of them needs a gradient, for which
        what is in `saves`, and what was made where it `keeps` that, lives until it was gone. A view of one
        shares its `storage`."""
        found = Symbol(storage or Storage(self, elements * width), elements, width)
        if any(parent.node is not None for parent in parents):
            found.node = Node(next(self.numbers), tuple(parent.node for parent in parents), back)
            kept = (*(each.storage for each in saves), *((found.storage,) if keeps else ()))
            if kept:
                self._keep(found.node, kept)
        return found

    def _keep(self, node: Node, kept: tuple[Storage, ...]) -> None:
        if self._filled:
            self._filled.pop().saved = kept
            if not self._filled:
                raise Enough
        elif self._put_off is not None:
            node.waits = True
            self._put_off.append(node)
        else:
            node.saved = kept

    def put_off(self, code: Callable[[], Symbol]) -> Symbol:
        """What `code` makes, as torch checkpoints it."""
        self._put_off = self._waiting
        found = code()
        self._put_off, self._again = None, code
        return found

    def fill(self) -> None:
        """Makes again what was put off."""
        assert self._again is not None
        self._filled = self._waiting[::-1]
        for node in self._waiting:
            node.waits = False
        again, self._again, self._waiting = self._again, None, []
        with suppress(Enough):
            again()

    def touch(self, size: int) -> None:
        """Bytes that are gone as soon as the statement is over."""
        self.peak = max(self.peak, self.live + size)


class Storage:
    """Bytes that live as long as something refers to them."""

    __slots__ = ("_meter", "bytes")

    def __init__(self, meter: Meter, size: int) -> None:
        self.bytes, self._meter = size, meter
        meter.live += size
        meter.peak = max(meter.peak, meter.live)

    def __del__(self) -> None:
        self._meter.live -= self.bytes


class Symbol:
    """A tensor of `elements`, each `width` bytes. Its `node` made it; None where no gradient is asked for."""

    __slots__ = ("elements", "node", "storage", "width")

    def __init__(self, storage: Storage, elements: int, width: int, node: Node | None = None) -> None:
        self.storage, self.elements, self.width, self.node = storage, elements, width, node


Back = Callable[[Symbol], Sequence[Symbol | None]]
"""Gradients of an operation's parents, of the gradient of what it made."""


class Node:
    """One operation's way back; it `waits` for what is `saved` where that was put off."""

    __slots__ = ("back", "number", "parents", "saved", "waits")

    def __init__(self, number: int, parents: tuple[Node | None, ...], back: Back) -> None:
        self.number, self.parents, self.back = number, parents, back
        self.saved: tuple[Storage, ...] = ()
        self.waits = False


def leaf(meter: Meter, elements: int, width: int) -> Symbol:
    """A tensor whose gradient is asked for, and goes nowhere from there."""
    found = meter.new(elements, width)
    return rooted(meter, found)


def rooted(meter: Meter, symbol: Symbol) -> Symbol:
    """The same tensor, whose way back begins and ends here."""
    node = Node(next(meter.numbers), (), lambda _: ())
    return Symbol(symbol.storage, symbol.elements, symbol.width, node)


def backward(meter: Meter, outputs: list[Symbol]) -> Symbol | None:
    """Goes back from the one symbol of `outputs`, which is taken out of them as a variable is deleted, with a
    gradient of its size; the gradient that reached the leaf, where there was one."""
    output = outputs.pop()
    elements, width, node = output.elements, output.width, output.node
    del output
    if node is None:
        return None
    waiting: dict[Node, Symbol] = {node: meter.new(elements, width)}
    order = [(-node.number, node)]
    reached = None
    while order:
        _, node = heappop(order)
        given = waiting.pop(node)
        if not node.parents:
            reached = given
            continue
        if node.waits:
            meter.fill()
        found = list(node.back(given))
        node.saved, node.back = (), _gone
        del given
        for parent in node.parents:
            each = found.pop(0)
            if parent is None or each is None:
                continue
            held = waiting.get(parent)
            if held is None:
                heappush(order, (-parent.number, parent))
                waiting[parent] = each
            elif getrefcount(held.storage) > ALONE and getrefcount(each.storage) <= ALONE:
                waiting[parent] = each
            elif getrefcount(held.storage) > ALONE:
                waiting[parent] = meter.new(held.elements, held.width)
            del held, each
    return reached


def _gone(_: Symbol) -> Sequence[Symbol | None]:
    raise AssertionError("an operation goes back once")
