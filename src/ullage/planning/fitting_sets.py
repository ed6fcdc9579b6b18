"""The cheapest cards for a workload as it is."""

from __future__ import annotations

import math
from collections.abc import Iterable

from ullage.errors import InputError
from ullage.facts.gpu import GpuSet
from ullage.planning.outcome import Evaluate, Outcome
from ullage.spec.workload import Workload


def fitting_sets(
    workload: Workload, evaluate: Evaluate, sets: Iterable[GpuSet]
) -> list[tuple[GpuSet, Outcome]]:
    """Those of `sets` that hold the unchanged workload and that torch has kernels for, cheapest per 1000
    examples first, those of unknown speed last. Raises InputError where every set refuses it."""
    found = []
    refused: InputError | None = None
    tried = 0
    for candidate in sets:
        if not candidate.abilities.has_kernels:
            continue
        try:
            outcome = evaluate(workload, candidate)
        except InputError as error:
            refused = error
            continue
        tried += 1
        if outcome.verdict != "does not fit":
            found.append((candidate, outcome))
    if refused is not None and not tried:
        raise refused
    return sorted(found, key=lambda pair: _dearest_last(pair[1].usd_per_1000))


def _dearest_last(usd: float | None) -> float:
    return math.inf if usd is None else usd
