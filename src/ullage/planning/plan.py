"""The plan: phases, placement, bill, verdict, advice, time, cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ullage.facts.gpu import GpuSet
from ullage.phases.phase import Phase
from ullage.planning.bill import Bill, Totals
from ullage.units import Interval

Verdict = Literal["fits", "tight", "does not fit"]


@dataclass(frozen=True, slots=True)
class Decision:
    """Something the plan decided for the user, with the reason that is printed beside it."""

    subject: str
    choice: str
    reason: str


@dataclass(frozen=True, slots=True)
class DevicePlan:
    """One device: its budget and its peak.

    `usable` is what the runtime can take at all, `budget` that minus the reserve, both in bytes and
    both the cautious (low) value; None for host memory or disk that the file does not limit.
    `ullage` is `usable` minus the high value of the device's peak.
    """

    name: str
    gpu: str
    usable: int | None
    budget: int | None
    peak: Totals
    peak_phase: str
    verdict: Verdict

    @property
    def ullage(self) -> int | None:
        return None if self.usable is None else self.usable - self.peak.device.high


@dataclass(frozen=True, slots=True)
class PhaseTime:
    """Roofline seconds of one phase: for one pass, and for the whole workload."""

    phase: str
    seconds: float
    total_seconds: float
    tokens_per_second: float | None
    bound: Literal["memory", "compute", "load", "none"]


@dataclass(frozen=True, slots=True)
class Cost:
    """Dollars at the price stated, which carries its date."""

    usd_per_hour: float
    usd_per_1000_examples: float
    provider: str
    as_of: str
    source: str


@dataclass(frozen=True, slots=True)
class Advice:
    """One way to make the workload fit (or cheaper): what changes, what it saves, what it costs.

    `changes` are `--set` paths and values that reproduce it; `gpus` the set it is meant for.
    `quality_loss` is a rank-like score (0: results unchanged), `usd_per_1000_examples` None without
    a price. `saves` is bytes off the fullest device's high value.
    """

    changes: tuple[tuple[str, str], ...]
    gpus: str
    verdict: Verdict
    quality_loss: float
    quality_note: str
    seconds_per_1000_examples: float
    usd_per_1000_examples: float | None
    saves: int
    peak: Interval


@dataclass(frozen=True, slots=True)
class Plan:
    """What will happen, where, and whether it fits."""

    workload: str
    kind: str
    gpus: GpuSet
    phases: tuple[Phase, ...]
    placement: dict[str, dict[str, str]]
    bill: Bill
    devices: tuple[DevicePlan, ...]
    verdict: Verdict
    decisions: tuple[Decision, ...] = ()
    times: tuple[PhaseTime, ...] = ()
    cost: Cost | None = None
    advice: tuple[Advice, ...] = ()
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
