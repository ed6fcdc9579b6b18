"""What past runs on this machine measured, and what later plans take from it.

What is taken of memory is what no formula knows: the bytes a process takes on a device before and beside its
tensors (CUDA context and loaded kernels; libraries on a processor). Of time it is the seconds of each phase.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from ullage.facts.machine import PROCESSOR_ID
from ullage.memory.process import Overhead, beside_tensors
from ullage.records.observation import Key, Observation
from ullage.records.timing import Timing
from ullage.units import MIB, Interval

ROOM: Final = 32 * MIB
"""Bytes the interval goes below what was observed."""
ROOM_ABOVE: Final = 64 * MIB
"""Bytes it goes above, with a quarter of what was observed: kernels loaded later, pages that malloc keeps."""
RISK: Final = 10
"""At either end one run in so many may lie outside what was observed before."""
ENOUGH: Final = RISK - 1
"""Observations of the same workload from which they replace what is usual."""
SEVERAL: Final = 3
"""Observations of other workloads whose median says something of this machine."""
RULE: Final = (
    f"until {ENOUGH} runs of the same workload were seen under a key, the usual interval holds, and each of "
    f"them lies inside, as does the median of {SEVERAL} or more runs of other workloads; from then on it "
    f"reaches from one run to another, past either of which the next lies one time in {RISK}"
)


@dataclass(frozen=True, slots=True)
class Evidence:
    """What past runs left: `observations` of memory and `timings`, oldest first, and what was set aside, with
    the reasons.

    `damage` is why the file as a whole cannot be read, "" where it can; `set_aside` counts lines.
    """

    observations: tuple[Observation, ...] = ()
    set_aside: tuple[tuple[str, int], ...] = ()
    damage: str = ""
    file: str = ""
    timings: tuple[Timing, ...] = ()
    _newest: dict[str, Key] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Timings and observations of a run have one key; which card's is newest is asked for every plan."""
        for key in (*(each.key for each in self.timings), *(each.key for each in self.observations)):
            self._newest[key.gpu] = key

    @property
    def warning(self) -> str:
        """One line about what is not trusted, "" where all is."""
        if self.damage:
            return f"{self.file}: {self.damage}; no evidence of past runs is used"
        if not self.set_aside:
            return ""
        count = sum(number for _, number in self.set_aside)
        lines = f"{count} line{'' if count == 1 else 's'}"
        why = "; ".join(f"{number} {reason}" for reason, number in self.set_aside)
        return f"{self.file}: {lines} not counted: {why} (`ullage evidence` lists what is)"

    def newest(self, gpu: str) -> Key | None:
        """The key of the last run on `gpu`."""
        return self._newest.get(gpu)

    def overhead(self, key: Key, workload: str, usual: Interval, held: int = 0) -> Overhead | None:
        """What a process takes beside its tensors; None where nothing was observed under `key`.

        `usual` is what it takes where nothing was measured; `held` what this very process holds before it
        loads a model: then what past runs grew by counts, and no end is below `held`.

        Of n exchangeable observations the next one exceeds the (k+1)-th largest with probability
        (k+1)/(n+1) (order statistics: S. S. Wilks, Annals of Mathematical Statistics 12, 91-96, 1941). So
        k = (n+1)/RISK - 1, rounded down, may be passed over at each end, and below n = RISK - 1
        not even the largest is an end of its own: what is usual holds, widened at once by what lies outside.
        Runs of the same workload are taken as exchangeable; runs of others are not, and only widen, where the
        median of several lies outside.
        """
        here = [each for each in self.observations if each.key == key]
        if not here:
            return None
        same = [_moved(each, held) for each in here if each.workload == workload]
        others = [_moved(each, held) for each in here if each.workload != workload]
        source = (
            f"{_runs(len(same))} of this workload and {_runs(len(others))} of others measured here on {key}"
        )
        if len(same) >= ENOUGH:
            return Overhead(_observed(same, held), f"measured: {source}")
        interval = _widened(usual, same, others, held)
        return Overhead(interval, f"usual until {ENOUGH} runs are measured: {source}")


def _runs(count: int) -> str:
    return f"{count} run{'' if count == 1 else 's'}"


def _moved(observation: Observation, held: int) -> int:
    """What the observed process would have taken had it begun with `held` bytes, where that is known."""
    return observation.overhead - observation.held + held if held else observation.overhead


def _below(value: int, held: int) -> int:
    return max(value - ROOM, held, 0)


def _above(value: int, held: int) -> int:
    return value + (value - held) // 4 + ROOM_ABOVE


def _observed(values: Sequence[int], held: int) -> Interval:
    """From ENOUGH observations on: from the (k+1)-th smallest to the (k+1)-th largest, with room."""
    ordered = sorted(values)
    passed_over = (len(ordered) + 1) // RISK - 1
    low, high = ordered[passed_over], ordered[-1 - passed_over]
    return Interval(_below(low, held), int(statistics.median(ordered)), _above(high, held))


def _widened(usual: Interval, same: Sequence[int], others: Sequence[int], held: int) -> Interval:
    """What is usual, with every observation of this workload and the median of several others inside."""
    typical = [int(statistics.median(others))] if len(others) >= SEVERAL else []
    inside = [*same, *typical]
    if not inside:
        return usual
    low = min(usual.low, *(_below(value, held) for value in inside))
    high = max(usual.high, *(_above(value, held) for value in inside))
    return Interval(low, int(statistics.median(same or typical)), high)


@dataclass(frozen=True, slots=True)
class Learned:
    """What a plan takes from evidence for one workload under one key, and how many runs of it were seen."""

    key: Key
    workload: str
    runs: int
    overhead: Overhead


def learned(evidence: Evidence) -> tuple[Learned, ...]:
    """For each key and workload in it, what `ullage plan` bills a process beside its tensors."""
    counts = Counter((each.key, each.workload) for each in evidence.observations)
    found = []
    for (key, workload), runs in counts.items():
        overhead = evidence.overhead(key, workload, beside_tensors(key.gpu == PROCESSOR_ID))
        assert overhead is not None
        found.append(Learned(key, workload, runs, overhead))
    return tuple(found)


NOTHING = Evidence()
