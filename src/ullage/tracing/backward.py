"""What a forward and backward pass takes, layers running again: `capture.backward` itself on fake tensors."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Final

import torch
from torch import Tensor

from ullage.capture.backward import BackwardReader, reached
from ullage.capture.proofs import proven_points
from ullage.capture.reader import Reader
from ullage.capture.transfer import Transfer
from ullage.errors import UllageError, UnsupportedError
from ullage.facts.dtypes import TORCH_NAMES
from ullage.memory.traced import Asked, Traced
from ullage.runtime.kernels import SDPA_MATH, register_math
from ullage.runtime.layout import Layout, find_layout
from ullage.runtime.libraries import find_transformers, in_turn
from ullage.runtime.loader import KERNELS
from ullage.tracing.kernels import as_on, processor_bytes, workspace_bytes
from ullage.tracing.storages import EndlessError, Storages, peak_of

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedConfig

FORWARD: Final = "the forward pass"
LOSS: Final = "the loss"
LONGEST_SAID: Final = 200
"""Characters of what torch or transformers say of a model that cannot be traced."""
Args = tuple[object, ...]


@in_turn
def trace_backward(config: PreTrainedConfig, asked: Asked) -> Traced:
    """The trace of what is asked for through a model of `config`.

    Raises UnsupportedError for what cannot be traced, with the reason.
    """
    storages = Storages(processor_bytes if asked.processor else workspace_bytes)
    collects = gc.isenabled()
    gc.disable()  # a run's collector frees what lies in cycles when it likes: here never
    try:
        return _traced(storages, config, asked)
    except UllageError:
        raise
    except EndlessError as error:
        raise _untraceable(asked, "it does not come to an end") from error
    except Exception as error:  # whatever the model's own code says of tensors without data
        said = " ".join(str(error).split())[:LONGEST_SAID]
        where = f" (in {storages.stage})" if storages.stage else ""
        raise _untraceable(asked, f"{type(error).__name__}: {said}{where}") from error
    finally:
        if collects:
            gc.enable()


def _untraceable(asked: Asked, why: str) -> UnsupportedError:
    return UnsupportedError(
        f"{asked.model}: what a backward pass takes cannot be traced, and is not known else: {why}. Without "
        "a plan: ullage.Extractor(model, sites).backward(texts)"
    )


def _traced(storages: Storages, config: PreTrainedConfig, asked: Asked) -> Traced:
    with storages, as_on(asked):
        model = _built(config, asked)
    layout = find_layout(model)
    proven = proven_points(asked.captures, layout, name=asked.model, depth=len(layout.layers))
    transfer = None if asked.processor else _Away(storages)
    reader = Reader(model, layout, reached(proven))
    backward = BackwardReader(reader, asked.reentrant, transfer)
    ids = [[token % (layout.rows or 2) for token in range(asked.tokens)]] * asked.batch
    before = len(storages.events)
    with storages, as_on(asked), _staged(storages, model, layout):
        found = backward.read(ids, _spans(asked))
    results = storages.sizes_of(tensor for each in found for tensor in each.states.values())
    peak = peak_of(storages.events[before:], results)
    parameters = sum(each.numel() for each in model.parameters())
    kept = peak.by_stage.get(FORWARD, 0)
    return Traced(peak.bytes, kept, sum(results.values()), peak.stage, parameters)


def _built(config: PreTrainedConfig, asked: Asked) -> nn.Module:
    transformers = find_transformers()
    if asked.kernel == SDPA_MATH:
        register_math()
    model: nn.Module = transformers.AutoModelForCausalLM.from_config(
        config,
        dtype=getattr(torch, TORCH_NAMES[asked.compute]),
        attn_implementation=KERNELS[asked.kernel],
    )
    return model.eval()


def _spans(asked: Asked) -> list[tuple[int, int]]:
    widest = [each.span_tokens or 1 for each in asked.captures if each.positions == "span"]
    return [(0, min(max(widest), asked.tokens))] * asked.batch if widest else []


@contextmanager
def _staged(storages: Storages, model: nn.Module, layout: Layout) -> Iterator[None]:
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


class _Away(Transfer):
    """Sends tensors to host memory, whose bytes are not a card's."""

    def __init__(self, storages: Storages) -> None:
        super().__init__()
        self._storages = storages

    def send(self, tensor: Tensor) -> Tensor:
        with self._storages.uncounted():
            return torch.empty_like(tensor)
