"""Lowers the precision of roles that may be quantized, as far as it takes to fit."""

from __future__ import annotations

from collections.abc import Callable

from ullage.facts.quantization.known import on_the_fly
from ullage.spec.workload import Workload


def settle(workload: Workload, fits: Callable[[Workload], bool]) -> tuple[Workload, tuple[str, ...]]:
    """The workload with the first of its roles' precisions that fits, and a warning for each role changed.

    Every role's `fallback_precisions` are tried in step, the first of each role before the second of any.
    What fits as it is, or in no way, stays as it is.
    """
    steps = max((len(role.fallback_precisions) for role in workload.roles.values()), default=0)
    if not steps or fits(workload):
        return workload, ()
    now, warnings = workload, {}
    for step in range(steps):
        for name, role in workload.roles.items():
            if step >= len(role.fallback_precisions):
                continue
            precision = role.fallback_precisions[step]
            changed = now.roles[name].model_copy(update={"precision": precision})
            now = now.model_copy(update={"roles": now.roles | {name: changed}})
            made = on_the_fly().get(precision)
            trade = f"; {made.trade}" if made is not None else ""
            warnings[name] = f"{name} is planned in {precision}: in {role.precision} it does not fit{trade}"
            if fits(now):
                return now, tuple(warnings.values())
    return workload, ()
