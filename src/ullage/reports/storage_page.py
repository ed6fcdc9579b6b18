"""What lies on disk, in lines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from ullage.planning.storage import CHECKPOINT
from ullage.reports.figures import duration
from ullage.units import GIB, MIB

if TYPE_CHECKING:
    from ullage.spec.stored import Stored

NETWORKS: Final = (1, 10)
"""Gbit/s that a machine's network may have: what it has is not known here."""


def stored_lines(stored: Sequence[Stored]) -> Iterator[str]:
    """All checkpoints in one line where there are several, then what else there is, and how long it takes to
    fetch what a hub has to send."""
    checkpoints = [each for each in stored if each.what.startswith(CHECKPOINT)]
    if len(checkpoints) > 1:
        parts = (f"{each.what.removeprefix(CHECKPOINT)} {each.bytes.high / GIB:.2f}" for each in checkpoints)
        whole = sum(each.bytes.high for each in checkpoints)
        yield f"on disk: checkpoints, {whole / GIB:.2f} GiB ({', '.join(parts)})"
    for each in stored:
        if each not in checkpoints:
            size = f"{each.bytes.expected / MIB:,.1f} MiB, at most {each.bytes.high / MIB:,.1f} MiB"
            per = f" a {each.each}" if each.each else ""
            yield f"on disk: {each.what}, {size}{per} ({each.note})"
    fetched = sum(each.bytes.high for each in stored if each.fetched)
    if fetched:
        times = (f"{duration(8 * fetched / (rate * 1e9))} at {rate} Gbit/s" for rate in NETWORKS)
        yield f"to download: {fetched / GIB:.2f} GiB, {', '.join(times)}, which no time here counts"
