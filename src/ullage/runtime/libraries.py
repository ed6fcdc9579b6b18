"""transformers and what it brings, used without leaving a trace in the program around us."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial, wraps
from threading import RLock
from types import ModuleType
from typing import Final, ParamSpec, TypeVar

from ullage.errors import MissingExtraError, UnsupportedError
from ullage.text import whole_text

Given = ParamSpec("Given")
Found = TypeVar("Found")

TALKATIVE: Final = ("transformers", "accelerate", "bitsandbytes", "kernels", "diffusers")
"""Loggers of libraries that tell of each cast, each offloaded tensor, each name that does not fit."""
_turn: Final = RLock()


def find_transformers() -> ModuleType:
    """The library. Raises MissingExtraError."""
    try:
        import torch
        import transformers
    except ImportError as error:
        raise MissingExtraError(error.name or "transformers", "run", "running a model") from error
    assert torch
    return transformers


def find_diffusers() -> ModuleType:
    """The library, which takes seconds to import. Raises MissingExtraError, and UnsupportedError where a
    torchvision stands beside a torch that it was not built for."""
    find_transformers()
    try:
        import diffusers

        assert diffusers.FluxPipeline  # imported here, where what goes wrong can be said
    except ImportError as error:
        raise MissingExtraError(error.name or "diffusers", "image", "painting") from error
    except RuntimeError as error:
        if "torchvision" not in whole_text(error):
            raise
        raise UnsupportedError(
            "diffusers cannot be imported: the torchvision installed here is not built for this torch; "
            "nothing here needs it: pip uninstall torchvision"
        ) from error
    found: ModuleType = diffusers
    return found


def in_turn(work: Callable[Given, Found]) -> Callable[Given, Found]:
    """`work`, one thread at a time and quietly.

    transformers imports its parts when they are first asked for, and two threads that ask at once can find
    half a module; what is quiet is the whole process, so that only one may set it and put it back.
    """

    @wraps(work)
    def alone(*args: Given.args, **kwargs: Given.kwargs) -> Found:
        with _turn, _quiet():
            return work(*args, **kwargs)

    return alone


@contextmanager
def _quiet() -> Iterator[None]:
    """No progress bars and load reports: what matters in them is checked. Afterwards all is as it was."""
    with without_bars(find_transformers()), _without_gguf_bars(), silent_loggers():
        yield


@contextmanager
def _without_gguf_bars() -> Iterator[None]:
    """Nor the bar that the reader of GGUF files has from tqdm itself, past the switch of transformers."""
    reader = sys.modules.get("transformers.modeling_gguf_pytorch_utils")
    bar = getattr(reader, "tqdm", None)
    if reader is None or bar is None:
        yield
        return
    try:
        reader.tqdm = partial(bar, disable=True)  # type: ignore[attr-defined]
        yield
    finally:
        reader.tqdm = bar  # type: ignore[attr-defined]


@contextmanager
def without_bars(library: ModuleType) -> Iterator[None]:
    """Neither transformers nor diffusers, which is told apart by `library`, shows progress."""
    # transformers' own switch also flips that of huggingface_hub, which cannot be asked how it stood.
    bars = library.utils.logging
    active = bars._tqdm_active
    try:
        bars._tqdm_active = False
        yield
    finally:
        bars._tqdm_active = active


@contextmanager
def silent_loggers() -> Iterator[None]:
    """Nothing but errors from the libraries' loggers. Afterwards all is as it was."""
    loggers = [logging.getLogger(name) for name in TALKATIVE]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
