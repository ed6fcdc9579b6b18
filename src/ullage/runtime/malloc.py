"""Keeps glibc's malloc from holding what earlier phases freed.

On a processor tensors come from malloc. Once a large one was freed, glibc takes the next ones of that size
from its heap, where a small allocation that lives on holds everything below it: a process never shrinks,
and a phase takes what the largest one before it left.
"""

from __future__ import annotations

import ctypes
import os
from functools import cache
from typing import Final

M_TRIM_THRESHOLD: Final = -1
M_MMAP_THRESHOLD: Final = -3
"""Parameters of mallopt (malloc.h)."""
MAPPED_FROM: Final = 4 * 2**20
"""Bytes from which an allocation is a mapping of its own, given back when it is freed. Stated, the threshold
no longer grows with what is freed (up to 32 MiB by itself)."""
TRIMMED_FROM: Final = 16 * 2**20
"""Bytes free at the heap's end from which they are given back."""


def hold_malloc() -> str:
    """From here on large allocations go back to the system when they are freed, for as long as this process
    lasts. Why that cannot be had here, "" where it was done."""
    preloaded = os.environ.get("LD_PRELOAD", "")
    if "malloc" in preloaded:
        return f"malloc is another one ({preloaded})"
    libc = _glibc()
    if libc is None:
        return "malloc is not glibc's"
    done = libc.mallopt(M_MMAP_THRESHOLD, MAPPED_FROM) and libc.mallopt(M_TRIM_THRESHOLD, TRIMMED_FROM)
    return "" if done else "glibc's mallopt refused"


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
