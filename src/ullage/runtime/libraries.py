"""transformers and what it brings, used without leaving a trace in the program around us."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from threading import RLock
from types import ModuleType
from typing import Final, ParamSpec, TypeVar

from ullage.errors import MissingExtraError

Given = ParamSpec("Given")
Found = TypeVar("Found")

TALKATIVE: Final = ("transformers", "accelerate", "bitsandbytes", "kernels")
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
    # transformers' own switch also flips that of huggingface_hub, which cannot be asked how it stood.
    bars = find_transformers().utils.logging
    active = bars._tqdm_active
    try:
        bars._tqdm_active = False
        with silent_loggers():
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
