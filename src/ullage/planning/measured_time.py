"""Times that past runs measured, as they stand in for a plan's estimates: an argument, never an import."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from ullage.phases.phase import Phase, Work
from ullage.units import Estimate


class MeasuredTime(NamedTuple):
    """Seconds of one pass of a phase as runs measured them, and which runs these were."""

    seconds: Estimate
    source: str


Manner = tuple[str, str]
"""What is done (`doing`), and how (`manner`)."""
MeasuredTimes = Mapping[Manner, MeasuredTime]
NO_TIMES: Final[MeasuredTimes] = {}


def doing(phase: Phase) -> str:
    """Who does what in a phase, whoever is beside: a load that is paid once comes from disk."""
    once = "once" if phase.once and phase.activity == "load" else ""
    return " ".join(filter(None, (phase.running, phase.verb, phase.activity, once)))


def manner(work: Work, storage: str, compute: str, kernel: str, where: str) -> str:
    """How a role does its work, in one line: what of a plan its time depends on, and the model, the cards and
    the software do not say."""
    tokens = f"{work.cached_tokens} + {work.prompt_tokens} + {work.new_tokens}"
    chunk = "" if work.chunk_tokens is None else f" by {work.chunk_tokens}"
    images = f", {work.images} images" if work.images else ""
    return f"{work.batch} x ({tokens}){chunk}{images}, {storage} in {compute}, {kernel}, on {where}"
