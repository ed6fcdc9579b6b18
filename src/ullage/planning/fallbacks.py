"""Lowers the precision of roles that may be quantized, as far as it takes to fit."""

from __future__ import annotations

from collections.abc import Callable

from ullage.facts.quantization.known import on_the_fly
from ullage.spec.workload import Workload


def settle(workload: Workload, fits: Callable[[Workload], bool]) -> tuple[Workload, tuple[str, ...]]:
    """The workload with the first of its roles' precisions that fits, and a warning for each role changed.

    Every role's `fallback_precisions`, or those that the kind's part of the file gives it, are tried in step,
    the first of each role before the second of any. What fits as it is, or in no way, stays as it is; the
    latter is said.
    """
    others = {} if workload.section is None else workload.section.fallbacks(workload)
    by_role = {
        name: role.fallback_precisions or others.get(name, ()) for name, role in workload.roles.items()
    }
    steps = max(map(len, by_role.values()), default=0)
    if not steps or fits(workload):
        return workload, ()
    now, warnings = workload, {}
    for step in range(steps):
        for name, role in workload.roles.items():
            if step >= len(by_role[name]):
                continue
            precision = by_role[name][step]
            changed = now.roles[name].model_copy(update={"precision": precision})
            now = now.model_copy(update={"roles": now.roles | {name: changed}})
            made = on_the_fly().get(precision)
            trade = f"; {made.trade}" if made is not None else ""
            warnings[name] = f"{name} is planned in {precision}: in {role.precision} it does not fit{trade}"
            if fits(now):
                return now, tuple(warnings.values())
    tried = "; ".join(f"{name} in {', '.join(some)}" for name, some in by_role.items() if some)
    return workload, (f"no fallback precision fits either; tried {tried}",)
