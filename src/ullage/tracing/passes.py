"""The one way to a trace: what a `Work` says, through the model's own code."""

from __future__ import annotations

import gc
import logging
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ullage.errors import UllageError, UnsupportedError
from ullage.memory.traced import Asked
from ullage.runtime.layout import find_layout
from ullage.runtime.libraries import in_turn
from ullage.tracing.adapters import add_adapters
from ullage.tracing.alike import NotAlikeError, Turns, few_of
from ullage.tracing.backward import read_backward
from ullage.tracing.built import build, config_from, said_by
from ullage.tracing.configs import config_values
from ullage.tracing.forward import points_of, read_forward
from ullage.tracing.kernels import as_on, workspace_bytes
from ullage.tracing.modules import told
from ullage.tracing.processor import processor_bytes
from ullage.tracing.quantized import quantize
from ullage.tracing.storages import EndlessError, Made, Storages
from ullage.tracing.stretched import stretched
from ullage.tracing.trace import Trace
from ullage.tracing.training import train_step
from ullage.tracing.values import UnknownError

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedConfig


_FAKES: Final = logging.getLogger("torch._subclasses.fake_tensor")
_READS: Final = {"backward": read_backward, "train": train_step, "update": train_step}
"""Who runs an activity that is no forward pass alone."""


class PassingError(UnsupportedError):
    """A trace that failed for what may be otherwise another day: time, memory, a library that is missing."""


def trace_pass(asked: Asked, base: Path | None = None) -> Trace:
    """The trace of what is asked for, the model's path relative to `base`.

    Raises UnsupportedError for what cannot be traced: the reason, the operation and the module.
    """
    return trace_config(config_from(asked.model, config_values(asked.model, base)), asked)


@in_turn
def trace_config(config: PreTrainedConfig, asked: Asked, *, whole: bool = False) -> Trace:
    """The same of a model of `config`; `whole` lets every layer run, however many are alike."""
    if not whole:
        with suppress(NotAlikeError):
            return _trace(config, asked, whole=False)
    return _trace(config, asked, whole=True)


def _trace(config: PreTrainedConfig, asked: Asked, whole: bool) -> Trace:
    storages = Storages(processor_bytes if asked.processor else workspace_bytes)
    collects, told = gc.isenabled(), _FAKES.disabled
    gc.disable()  # a run's collector frees what lies in cycles when it likes: here never
    _FAKES.disabled = True  # torch logs a traceback of what is raised, and said, anyway
    try:
        return _traced(storages, config, asked, whole)
    except (UllageError, NotAlikeError):
        raise
    except EndlessError as error:
        raise PassingError(str(_untraceable(asked, str(error)))) from error
    except (ImportError, MemoryError) as error:
        why = f"{type(error).__name__}: {said_by(error)}"
        raise PassingError(str(_untraceable(asked, why))) from error
    except Exception as error:  # whatever the model's own code says of tensors without data
        where = ""
        if storages.broke is not None:
            operation, module = storages.broke
            place = f"{operation} in {module or 'no module'}" if operation else f"in {module}"
            where = f" ({place}, {storages.stage})"
        what = "" if isinstance(error, UnknownError) else f"{type(error).__name__}: "
        raise _untraceable(asked, f"{what}{said_by(error)}{where}") from error
    finally:
        _FAKES.disabled = told
        if collects:
            gc.enable()


def _untraceable(asked: Asked, why: str) -> UnsupportedError:
    found = f"{asked.model}: what {asked.work.activity} takes cannot be traced: {why}"
    if asked.work.activity == "backward":
        found += ", and is not known else. Without a plan: ullage.Extractor(model, sites).backward(texts)"
    return UnsupportedError(found)


def _traced(storages: Storages, config: PreTrainedConfig, asked: Asked, whole: bool) -> Trace:
    with storages, as_on(asked, storages):
        model = build(config, asked)
    layout = find_layout(model)
    if asked.scheme is not None:
        quantize(model, layout, asked.scheme, asked.compute)
    training = asked.work.training
    if asked.work.activity == "train" and training is not None and training.lora is not None:
        add_adapters(storages, model, layout, asked, training.lora)
    named = (*model.named_parameters(), *model.named_buffers())
    own = {each.untyped_storage()._cdata: each.untyped_storage().nbytes() for _, each in named}
    loaded = {each.untyped_storage()._cdata: _loaded(name, each) for name, each in reversed(named)}
    points = points_of(layout, asked)
    before = len(storages.events)
    read = _READS.get(asked.work.activity, read_forward)
    turns = None if whole or not _repeats(asked) else Turns(storages, few_of(layout))
    with ExitStack() as stack:
        for each in (storages, as_on(asked, storages), told(model, storages.modules, storages.broken_in)):
            stack.enter_context(each)
        if turns is not None:
            stack.enter_context(turns.taken(layout))
        stages, left = read(storages, model, layout, asked, points)
    results = storages.sizes_of(left)
    events, made = storages.events[before:], storages.made
    names = {id(module): name for name, module in model.named_modules()}
    paths = tuple(names[id(layer)] for layer in layout.layers)
    if turns is not None and turns.few.like:
        marks = [mark._replace(event=mark.event - before) for mark in turns.marks]
        events, made = stretched(events, made, marks, turns.few, paths)
    known = {event.storage for event in events if event.bytes > 0}
    return Trace(
        tuple(event for event in events if event.storage in known),
        {number: made[number] for number in known},
        stages,
        results,
        tuple(own.values()),
        sum(each.numel() for each in model.parameters()),
        tuple(loaded[each] for each in own),
        paths,
        names[id(layout.embedding)],
    )


def _loaded(name: str, tensor: Tensor) -> Made:
    """A weight as what made it tells of it."""
    return Made(name, "load", tuple(tensor.shape), str(tensor.dtype).removeprefix("torch."), "weights")


def _repeats(asked: Asked) -> bool:
    """Whether nothing but layers themselves goes through all layers one by one: neither copies of a cache nor
    captures, nor a pass back."""
    work = asked.work
    forward = work.activity in ("prefill", "decode")
    return forward and not work.cached_tokens and work.logits != "none" and not work.captures
