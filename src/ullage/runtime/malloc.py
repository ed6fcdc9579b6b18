"""Keeps glibc's malloc from holding what earlier phases freed.

On a processor tensors come from malloc. Once a large one was freed, glibc takes the next ones of that size
from its heap, where a small allocation that lives on holds everything below it: a process never shrinks,
and a phase takes what the largest one before it left.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Final, NamedTuple

from ullage.units import MIB

M_TRIM_THRESHOLD: Final = -1
M_MMAP_THRESHOLD: Final = -3
"""Parameters of mallopt (malloc.h)."""


class Held(NamedTuple):
    """Bytes, below 2 GiB each: an allocation of `mapped` and more is a mapping of its own, given back when it
    is freed; from `trimmed` free ones at the heap's end they are given back. Stated, neither grows with what
    is freed."""

    mapped: int
    trimmed: int


BETWEEN: Final = Held(4 * MIB, 16 * MIB)
"""Where models are loaded and freed."""
REPEATED: Final = Held(64 * MIB, 2047 * MIB)
"""Where one pass takes what the one before it freed: each page that malloc gives back in between is zeroed by
the system when it is taken again, a sixth to a third of a pass of 124 million parameters."""
KEEPING: Final = Held(1 * MIB, 16 * MIB)
"""Where much of what passes make stays: what was freed between is of use only to smaller allocations."""


def hold_malloc(held: Held = BETWEEN) -> str:
    """From here on malloc holds no more than `held` of what was freed, for as long as this process lasts. Why
    that cannot be had here, "" where it was done."""
    preloaded = os.environ.get("LD_PRELOAD", "")
    if "malloc" in preloaded:
        return f"malloc is another one ({preloaded})"
    libc = _glibc()
    if libc is None:
        return "malloc is not glibc's"
    done = libc.mallopt(M_MMAP_THRESHOLD, held.mapped) and libc.mallopt(M_TRIM_THRESHOLD, held.trimmed)
    return "" if done else "glibc's mallopt refused"


@contextmanager
def holding_malloc(held: Held) -> Iterator[None]:
    """Inside, malloc holds what `held` says; afterwards what it does between phases."""
    hold_malloc(held)
    try:
        yield
    finally:
        hold_malloc()


def trim_malloc() -> None:
    """Gives free pages of malloc's heaps back to the system, where malloc is glibc's."""
    libc = _glibc()
    if libc is not None:
        libc.malloc_trim(0)


@cache
def _glibc() -> ctypes.CDLL | None:
    try:
        libc = ctypes.CDLL(None)
    except (OSError, TypeError):
        return None
    return libc if all(hasattr(libc, name) for name in ("mallopt", "malloc_trim")) else None
