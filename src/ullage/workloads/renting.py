"""From a workload to the cards to rent for it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ullage.workloads.learned import past_runs, times
from ullage.workloads.outcomes import estimate, outcomes
from ullage.workloads.planned import needs_card, opened

if TYPE_CHECKING:
    from ullage.facts.gpu import GpuSet
    from ullage.facts.price import Prices
    from ullage.planning.plan import Plan
    from ullage.planning.renting import Renting
    from ullage.spec.workload import Workload


def rent(workload: Workload, base: Path | None, prices: Prices, most: int | None) -> Renting:
    """Every set with a price of the label that holds the workload, cheapest for the whole of it first; the
    first `most` worth showing, or all.

    Raises InputError where no card can do what the workload asks for.
    """
    from ullage.planning.fitting_sets import fitting_sets
    from ullage.planning.planner import make_plan
    from ullage.planning.renting import LeftOut, Renting, Tried, renting

    if not needs_card(workload):
        return Renting(workload.examples, prices.label, prices.provider, prices.file, (), needed=False)
    workload, models = opened(workload, base)
    known, tried = past_runs(), Tried(outcomes(models, base=base, prices=prices))
    sets = [gpus for _, gpus in prices.sets()]
    holding = fitting_sets(workload, tried, sets)
    without = sum(not gpus.abilities.has_kernels for gpus in sets)

    def planned(gpus: GpuSet) -> Plan:
        demand = estimate(workload, models, gpus, base=base)
        measured = times(known, workload, gpus, None)
        return make_plan(workload, demand, models, gpus, base or Path(), None, prices, measured)

    left_out = LeftOut(len(prices.unpriced()), without, tried.too_small, tried.refused, tried.refusal)
    return renting(workload, holding, planned, prices, left_out, most)
