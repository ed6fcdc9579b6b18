"""Times that past runs measured, as they stand in for a plan's estimates: an argument, never an import."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from ullage.phases.phase import Work
from ullage.units import Estimate


class MeasuredTime(NamedTuple):
    """Seconds of one pass of a phase as runs measured them, and which runs these were."""

    seconds: Estimate
    source: str


Manner = tuple[str, str]
"""The name of a phase, and how it is done (`manner`)."""
MeasuredTimes = Mapping[Manner, MeasuredTime]
NO_TIMES: Final[MeasuredTimes] = {}


def manner(work: Work, storage: str, compute: str, kernel: str, where: str) -> str:
    """How a role does its work, in one line: what of a plan its time depends on, and the model, the cards and
    the software do not say."""
    tokens = f"{work.cached_tokens} + {work.prompt_tokens} + {work.new_tokens}"
    chunk = "" if work.chunk_tokens is None else f" by {work.chunk_tokens}"
    images = f", {work.images} images" if work.images else ""
    return f"{work.batch} x ({tokens}){chunk}{images}, {storage} in {compute}, {kernel}, on {where}"
