"""What a forward and backward pass takes, layers running again: `capture.backward` itself on fake tensors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Final

from ullage.capture.backward import BackwardReader
from ullage.capture.reader import Reader
from ullage.memory.traced import Asked
from ullage.runtime.layout import Layout
from ullage.tracing.forward import Away, Points, spans_of, texts
from ullage.tracing.storages import Storages
from ullage.tracing.training import FORWARD

if TYPE_CHECKING:
    from torch import Tensor, nn

LOSS: Final = "the loss"
Args = tuple[object, ...]


def read_backward(
    storages: Storages, model: nn.Module, layout: Layout, asked: Asked, points: Points
) -> tuple[tuple[str, ...], list[Tensor]]:
    """Runs a pass back; no stage is left out, and the states and gradients that are left."""
    transfer = None if asked.processor else Away(storages)
    reader = Reader(model, layout, points)
    backward = BackwardReader(reader, asked.work.reentrant, transfer)
    with _staged(storages, layout):
        found = backward.read(texts(layout, asked), spans_of(asked))
    return (), [tensor for each in found for tensor in each.states.values()]


@contextmanager
def _staged(storages: Storages, layout: Layout) -> Iterator[None]:
    """Says of each storage whether it came in the forward pass, at the loss, or in a layer that ran again."""
    storages.stage = FORWARD

    def over(_module: nn.Module, _args: Args, _output: object) -> None:
        storages.stage = LOSS

    def again(layer: int, _module: nn.Module, _args: Args) -> None:
        if storages.stage != FORWARD:
            storages.stage = f"layer {layer}"

    with ExitStack() as stack:
        stack.callback(layout.layers[-1].register_forward_hook(over).remove)
        for number, layer in enumerate(layout.layers):
            for part in layer.children():
                stack.callback(part.register_forward_pre_hook(partial(again, number)).remove)
        yield
