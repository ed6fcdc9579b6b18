"""What it costs to rent the cards that hold a workload, set by set."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from ullage.errors import InputError
from ullage.facts.gpu import GpuSet
from ullage.facts.price import Prices
from ullage.planning.cost import Cost
from ullage.planning.device import HOST
from ullage.planning.outcome import Evaluate, Outcome
from ullage.planning.phase_time import TimeBasis
from ullage.planning.plan import Plan
from ullage.planning.verdict import Verdict
from ullage.shown import Shown
from ullage.spec.workload import Workload
from ullage.units import ZERO, Estimate, Interval, total


@dataclass(frozen=True, slots=True)
class Rental:
    """A set of cards that holds the workload, as its plan says: bytes free on the fullest card and bytes of
    host memory taken, seconds and dollars of the whole workload. `cost` is None where no list has a price,
    and its dollars where the cards' speed is not known."""

    gpus: GpuSet
    verdict: Verdict
    peak: Interval
    ullage: int
    seconds: Estimate | None
    basis: TimeBasis
    cost: Cost | None
    host: Interval = ZERO

    @property
    def usd(self) -> Estimate | None:
        return None if self.cost is None else self.cost.usd


@dataclass(frozen=True, slots=True)
class LeftOut:
    """What was not offered: cards of the catalog without a price of the label, sets that torch has no kernels
    for, sets that do not hold the workload, and sets that refuse it, with what the first of them says."""

    unpriced: int = 0
    without_kernels: int = 0
    too_small: int = 0
    refused: int = 0
    refusal: str = ""


@dataclass(frozen=True, slots=True)
class Renting(Shown):
    """The sets that hold a workload of so many `examples`, by prices of one `label`, cheapest first, and how
    many more do. `beaten` of these are dearer than fewer cards of the same kind and no faster."""

    examples: int
    label: str
    provider: str
    file: str
    rentals: tuple[Rental, ...]
    more: int = 0
    beaten: int = 0
    left_out: LeftOut = field(default_factory=LeftOut)
    needed: bool = True

    @property
    def best(self) -> Rental | None:
        """The cheapest that fits with its reserve, else the cheapest; None where no total is known."""
        priced = [each for each in self.rentals if each.usd is not None]
        return next((each for each in priced if each.verdict == "fits"), next(iter(priced), None))

    @property
    def runner_up(self) -> Rental | None:
        """The next one of another card."""
        best = self.best
        others = () if best is None else self.rentals
        return next(
            (
                each
                for each in others
                if each.usd is not None
                and best is not None
                and set(each.gpus.gpus) != set(best.gpus.gpus)
                and (each.verdict == "fits" or best.verdict != "fits")
            ),
            None,
        )

    def __repr__(self) -> str:
        best = self.best
        if best is None:
            return f"<Renting: {len(self.rentals)} sets hold it>"
        return f"<Renting: {best.gpus.name} is the cheapest of {len(self.rentals) + self.more} sets>"


class Tried:
    """Evaluates candidates, and counts those that a card or an engine refuses, and those that are too small.
    Invariant: every set asked for is in one of the three counts, or holds the workload."""

    def __init__(self, evaluate: Evaluate) -> None:
        self._evaluate = evaluate
        self.too_small = self.refused = 0
        self.refusal = ""

    def __call__(self, workload: Workload, gpus: GpuSet) -> Outcome:
        try:
            found = self._evaluate(workload, gpus)
        except InputError as error:
            self.refused += 1
            self.refusal = self.refusal or str(error).partition("\n")[0]
            raise
        self.too_small += found.verdict == "does not fit"
        return found


def renting(
    workload: Workload,
    holding: Sequence[tuple[GpuSet, Outcome]],
    planned: Callable[[GpuSet], Plan],
    prices: Prices,
    left_out: LeftOut,
    most: int | None,
) -> Renting:
    """What the sets that hold the workload cost, cheapest first: the first `most` of those that no fewer
    cards of their kind beat, or all of them."""
    offered = [pair for pair in holding if most is None or not _beaten(pair, holding)]
    shown = offered[:most]
    return Renting(
        workload.examples,
        prices.label,
        prices.provider,
        prices.file,
        tuple(_rental(gpus, planned(gpus)) for gpus, _ in shown),
        len(holding) - len(shown),
        len(holding) - len(offered),
        left_out,
    )


def _beaten(pair: tuple[GpuSet, Outcome], holding: Sequence[tuple[GpuSet, Outcome]]) -> bool:
    """Whether fewer cards of the same kind are as fast, fit as well, and cost no more."""
    gpus, outcome = pair
    usd, seconds = outcome.usd_per_1000, outcome.seconds_per_1000
    if usd is None or seconds is None:
        return False
    return any(
        set(other.gpus) == set(gpus.gpus)
        and len(other.gpus) < len(gpus.gpus)
        and (found.verdict == "fits" or outcome.verdict != "fits")
        and found.usd_per_1000 is not None
        and found.seconds_per_1000 is not None
        and found.usd_per_1000 <= usd
        and found.seconds_per_1000 <= seconds
        for other, found in holding
    )


def _rental(gpus: GpuSet, plan: Plan) -> Rental:
    cards = [device for device in plan.devices if device.name.startswith("gpu:")]
    bases = {time.basis for time in plan.times}
    order: tuple[TimeBasis, ...] = ("unknown", "assumed", "derived", "measured")
    return Rental(
        gpus,
        plan.verdict,
        total(device.peak.device for device in cards),
        min((device.ullage for device in cards if device.ullage is not None), default=0),
        plan.total_seconds,
        next((each for each in order if each in bases), "unknown"),
        plan.cost,
        next((device.peak.device for device in plan.devices if device.name == HOST), ZERO),
    )
