"""How long a phase takes, and how that is known."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from ullage.units import NO_TIME, Estimate

Bound = Literal["memory", "compute", "host", "link", "load", "disk", "unknown"]
TimeBasis = Literal["derived", "assumed", "measured", "unknown"]


@dataclass(frozen=True, slots=True)
class PhaseTime:
    """Seconds of one phase: for one pass, and for the whole workload, and how they are known.

    `derived` from the card's peaks and published ratios, `assumed` where nobody published what the scheme of
    the weights costs, `measured` by past runs here; None, with bound and basis `unknown`, where the card's
    speed is not known. `source` names those runs, or the card that a scheme's ratios are of.
    """

    phase: str
    seconds: Estimate | None
    total_seconds: Estimate | None
    tokens_per_second: Estimate | None
    bound: Bound
    basis: TimeBasis = "derived"
    source: str = ""


def sum_times(times: Iterable[PhaseTime]) -> Estimate | None:
    """Seconds of all passes of all of them; None where one's are not known."""
    whole = NO_TIME
    for time in times:
        if time.total_seconds is None:
            return None
        whole += time.total_seconds
    return whole
