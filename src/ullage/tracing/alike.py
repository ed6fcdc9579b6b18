"""Layers that are alike: a few of each kind run, the others let states pass.

Two layers are of a kind where their modules have the same classes, shapes and settings, and the config says
the same of both. What a layer takes also depends on the one before it, whose states it frees, so pairs of
neighbours count.
"""

from __future__ import annotations

import weakref
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from torch import Tensor

from ullage.tracing.storages import Storages

if TYPE_CHECKING:
    from torch import nn

    from ullage.runtime.layout import Layout

TWICE: Final = 2
"""Of each pair of kinds so many run: the second proves the first."""
Kind = tuple[object, ...]


class NotAlikeError(Exception):
    """Layers that seemed to be of a kind are not: all of them must run."""


class Mark(NamedTuple):
    """From event number `event` on, layer `layer` of pass number `turn` runs, or does not."""

    event: int
    turn: int
    layer: int
    runs: bool


@dataclass(frozen=True, slots=True)
class Few:
    """Which layers run (`run`), for each other one the layer that stands for it (`like`), and pairs of layers
    of the same kind after the same kind, which prove that (`proofs`)."""

    run: frozenset[int]
    like: dict[int, int]
    proofs: tuple[tuple[int, int], ...]


def few_of(layout: Layout) -> Few:
    """The choice for a model. The first and the last layer run, and the last of each kind."""
    layers, config = layout.layers, layout.config
    kinds = [_kind(layer, config, place, len(layers)) for place, layer in enumerate(layers)]
    pairs: dict[tuple[Kind, Kind], list[int]] = defaultdict(list)
    last = len(layers) - 1
    for place in range(1, last):  # the last one's turn ends with the model's
        pairs[kinds[place - 1], kinds[place]].append(place)
    run = {0, last, last - 1} | {max(p for p, kind in enumerate(kinds) if kind == one) for one in {*kinds}}
    like: dict[int, int] = {}
    proofs = []
    for places in pairs.values():
        for place in places[:TWICE]:
            run |= {place - 1, place}
        proofs += [(places[0], place) for place in places[1:TWICE]]
        like |= dict.fromkeys(places[TWICE:], places[0])
    return Few(frozenset(run), {p: like[p] for p in like if p not in run}, tuple(proofs))


@dataclass(slots=True)
class Turns:
    """Marks each layer's turn, of those that run and of those that do not."""

    storages: Storages
    few: Few
    marks: list[Mark] = field(default_factory=list)
    _turn: int = -1
    _given: object = None

    @contextmanager
    def taken(self, layout: Layout) -> Iterator[None]:
        """While this lasts, a layer that does not run gives on the states that it is given."""
        with ExitStack() as stack:
            for place, layer in enumerate(layout.layers):
                if place in self.few.like:
                    layer.forward = partial(self._pass_on, place)
                    stack.callback(layer.__dict__.pop, "forward")
                    continue
                stack.callback(layer.register_forward_pre_hook(partial(self._begin, place)).remove)
                if place + 1 in self.few.like:
                    stack.callback(layer.register_forward_hook(self._end).remove)
            yield

    def _begin(self, place: int, _module: nn.Module, _args: object) -> None:
        self._turn += place == 0
        self.marks.append(Mark(len(self.storages.events), self._turn, place, runs=True))

    def _end(self, _module: nn.Module, _args: object, output: object) -> None:
        """Notes what a layer gives beside its states, and holds none of it."""
        if isinstance(output, tuple):
            self._given = tuple(weakref.ref(each) if isinstance(each, Tensor) else each for each in output)
        elif isinstance(output, Tensor):
            self._given = None
        else:
            raise NotAlikeError

    def _pass_on(self, place: int, *args: object, **kwargs: object) -> object:
        self.marks.append(Mark(len(self.storages.events), self._turn, place, runs=False))
        states = args[0] if args else kwargs.get("hidden_states")
        if not isinstance(states, Tensor):
            raise NotAlikeError
        if self._given is None:
            return states
        assert isinstance(self._given, tuple)
        others = (each() if isinstance(each, weakref.ref) else each for each in self._given[1:])
        return (states, *others)


def _kind(layer: nn.Module, config: object, place: int, layers: int) -> Kind:
    """All that tells two layers apart, but their number."""
    said: list[object] = []
    for name, module in layer.named_modules():
        settings = [
            (key, value)
            for key, value in sorted(vars(module).items())
            if isinstance(value, bool | float | str) or (isinstance(value, int) and value != place)
        ]
        tensors = [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]
        shapes = tuple((key, tuple(each.shape), each.dtype) for key, each in tensors)
        said += [name, type(module), tuple(settings), shapes]
    for key, value in sorted(vars(config).items()):
        if isinstance(value, list | tuple) and len(value) == layers:
            said += [key, str(value[place])]
    return tuple(said)
