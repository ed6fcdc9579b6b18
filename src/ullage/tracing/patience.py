"""What takes long says so."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Timer
from typing import Final

PATIENCE: Final = 5.0
"""Seconds of tracing in one process after which every further trace is told of."""

_log: Final = logging.getLogger(__name__)
_spent = 0.0


@contextmanager
def told(what: str) -> Iterator[None]:
    """Warns of `what` is done inside once that, with what was done so before it, takes longer than
    `PATIENCE`: where nobody configured logging the line goes to standard error."""
    global _spent
    begun = time.monotonic()
    late = Timer(
        max(PATIENCE - _spent, 0.0), _log.warning, [f"ullage: {what}; its result is kept for next time"]
    )
    late.daemon = True
    late.start()
    try:
        yield
    finally:
        late.cancel()
        _spent += time.monotonic() - begun
