"""The lean way to judge a candidate: totals, no line items."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from ullage.facts.gpu import GpuSet
from ullage.facts.price import Prices, known_prices
from ullage.memory.demand import Demand
from ullage.planning.billing import device_peaks, peaks_beside_segments
from ullage.planning.cost import per_1000, usd_per_1000
from ullage.planning.device import HOST, Device, devices_of, limits_of
from ullage.planning.measured_time import NO_TIMES, MeasuredTimes
from ullage.planning.phase_time import sum_times
from ullage.planning.placement import Placement, place
from ullage.planning.throughput import phase_times, total_seconds
from ullage.planning.verdict import Verdict, verdict_of, worst
from ullage.spec.workload import Workload
from ullage.units import ZERO, Estimate, Interval, total


class Outcome(NamedTuple):
    """What a candidate comes to: the lean result of planning it.

    `peak` is the sum of the cards' own peaks, in bytes. `over` is what exceeds the budgets of cards, host
    memory and disk together, `left` the bytes of budget that the fullest card has left, below 0 where it
    exceeds it. `host` is what lies in host memory. Seconds and dollars are for 1000 examples, None where a
    phase's time is not known; `known_seconds` are of the phases whose time is, `unknown` the roles of others,
    and `shares` are of those seconds, by the role that works in them. `untraced` are roles with a pass that a
    plan would trace, and a search had no time to: without a formula nothing is known then. `ends` are the low
    and the high value of `seconds_per_1000`, where they were asked for.
    """

    verdict: Verdict
    peak: Interval
    over: int
    seconds_per_1000: float | None
    usd_per_1000: float | None
    left: int = 0
    host: Interval = ZERO
    known_seconds: float = 0.0
    unknown: tuple[str, ...] = ()
    shares: tuple[tuple[str, float], ...] = ()
    untraced: tuple[str, ...] = ()
    ends: tuple[float, float] | None = None

    @property
    def seconds(self) -> Estimate | None:
        """For 1000 examples, where the ends are known."""
        if self.ends is None or self.seconds_per_1000 is None:
            return None
        return Estimate(self.ends[0], self.seconds_per_1000, self.ends[1])

    @property
    def usd(self) -> Estimate | None:
        """The same in dollars, where there is a price."""
        if self.usd_per_1000 is None or not self.seconds_per_1000 or self.seconds is None:
            return None
        return self.seconds * (self.usd_per_1000 / self.seconds_per_1000)


Evaluate = Callable[[Workload, GpuSet], Outcome]
"""What a workload comes to on a set; raises InputError where an engine or a card refuses it."""
IMPOSSIBLE: Final = Outcome("does not fit", ZERO, 2**62, None, None, -(2**62))
"""What a combination comes to that is refused."""


def outcome_of(
    workload: Workload,
    demand: Demand,
    gpus: GpuSet,
    prices: Prices | None = None,
    measured: MeasuredTimes = NO_TIMES,
    *,
    with_ends: bool = False,
) -> Outcome:
    """Verdict, the sum of the devices' own peaks, bytes over budget, time and cost at `prices`; times are
    those of past runs where these `measured` them.

    Raises InputError where an engine is given a share of a card by the file that cannot be.
    """
    devices = devices_of(gpus, workload.budget)
    placement = place(demand, devices)
    if demand.served:
        from ullage.planning.engine_share import check_shares

        check_shares(workload.roles, demand, placement, devices)
        # An engine comes beside segments that earlier phases have left.
        peaks = peaks_beside_segments(demand, placement, devices)
    else:
        peaks = device_peaks(demand, placement, devices)
    limits = limits_of(devices, workload.budget)
    verdicts = [verdict_of(size.high, *limits[name]) for name, size in peaks.items()]
    cards = [(device, peaks.get(device.name, ZERO)) for device in devices]
    budgets = [(size, limits[name][1]) for name, size in peaks.items()]
    over = sum(max(size.high - budget, 0) for size, budget in budgets if budget is not None)
    whole, spent, unknown = total_seconds(demand, placement, devices, workload.examples, measured)
    known = whole * per_1000(workload.examples)
    seconds = None if unknown else known
    return Outcome(
        worst(verdicts),
        total(size for _, size in cards),
        over,
        seconds,
        usd_per_1000(gpus, seconds, prices or known_prices()),
        min(device.budget - size.high for device, size in cards),
        peaks.get(HOST, ZERO),
        known,
        unknown,
        tuple((role, own / whole) for role, own in spent.items() if own),
        ends=_ends(workload, demand, placement, devices, measured) if with_ends and not unknown else None,
    )


def _ends(
    workload: Workload,
    demand: Demand,
    placement: Placement,
    devices: tuple[Device, ...],
    measured: MeasuredTimes,
) -> tuple[float, float] | None:
    whole = sum_times(phase_times(demand, placement, devices, workload.examples, measured))
    share = per_1000(workload.examples)
    return None if whole is None else (whole.low * share, whole.high * share)
