"""What a workload comes to on a set of GPUs: its phases, their needs, a verdict with time and cost."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from ullage.errors import InputError
from ullage.workloads.fidelity import tracing_by
from ullage.workloads.learned import overhead, past_runs, times

if TYPE_CHECKING:
    from ullage.facts.architecture import Model
    from ullage.facts.gpu import GpuSet
    from ullage.facts.price import Prices
    from ullage.memory.demand import Demand
    from ullage.memory.estimate import Process
    from ullage.memory.loaded import Loaded
    from ullage.phases.hosted import Requests
    from ullage.phases.phase import Phase
    from ullage.planning.outcome import Outcome
    from ullage.records.observation import Here
    from ullage.spec.workload import Workload
    from ullage.units import Interval
    from ullage.workloads.sparing import SparingTracer


def phases(workload: Workload) -> tuple[Phase, ...]:
    """How the workload's kind lays it out over time."""
    from ullage.phases.fits import with_fits
    from ullage.workloads import single_model
    from ullage.workloads.registry import find_kind

    if workload.kind == single_model.name:
        return single_model.phases(workload)
    return with_fits(find_kind(workload.kind).phases(workload), workload)


def requests(workload: Workload) -> tuple[Requests, ...]:
    """What is asked of servers for an example, as far as the workload's kind says."""
    from ullage.workloads import single_model
    from ullage.workloads.registry import find_kind

    return () if workload.kind == single_model.name else find_kind(workload.kind).requests(workload)


def estimate(
    workload: Workload,
    models: Mapping[str, Model],
    gpus: GpuSet,
    here: Here | None = None,
    base: Path | None = None,
) -> Demand:
    """Every need of the workload, not yet placed; `here` is the process that is to run it, if known, and
    paths are relative to `base`."""
    from ullage.memory.estimate import estimate as estimate_phases

    beside = overhead(past_runs(), workload, gpus, here)
    tracing = tracing_by(workload.memory.fidelity, base)
    return estimate_phases(phases(workload), models, gpus.abilities, beside, tracing, _cards(gpus))


def _cards(gpus: GpuSet) -> tuple[Interval, ...]:
    """What can be used of each, in bytes."""
    return tuple(gpu.usable for gpu in gpus.gpus)


def settle(
    workload: Workload,
    gpus: GpuSet,
    models: Mapping[str, Model],
    here: Here | None = None,
    base: Path | None = None,
) -> tuple[Workload, tuple[str, ...]]:
    """The workload in the first of its roles' `fallback_precisions` that fits, and what that trades."""
    from ullage.planning.fallbacks import settle as settle_precisions

    come_to = outcomes(models, here, base)

    def fits(candidate: Workload) -> bool:
        try:  # the share of a card that the file gives an engine may be too little for it
            return come_to(candidate, gpus).verdict != "does not fit"
        except InputError:
            return False

    return settle_precisions(workload, fits)


def gpu_set(workload: Workload, gpus: str | None) -> GpuSet:
    """`gpus`, else the set the workload's budget names."""
    from ullage.facts.gpu_set import parse_gpu_set

    text = gpus or workload.budget.gpus
    if text is None:
        from ullage.phases.blocks import is_local

        if not any(map(is_local, workload.roles.values())):
            raise InputError("no GPUs: every role runs elsewhere, so none is needed: give --gpus cpu")
        raise InputError("no GPUs: give --gpus 2xA100-80GB, or budget.gpus in the file")
    if not isinstance(text, str):
        raise InputError(f"gpus: {text!r} is no text; name cards as '2xA100-80GB' or 'A100-40GB, L4'")
    from ullage.spec.card import own_cards

    return parse_gpu_set(text, own_cards(workload.cards))


def outcome(
    workload: Workload,
    models: Mapping[str, Model],
    gpus: GpuSet,
    here: Here | None = None,
    base: Path | None = None,
) -> Outcome:
    """The lean result of planning a candidate: verdict, peak, time and cost, no line items."""
    from ullage.facts.price import known_prices

    return outcomes(models, here, base, known_prices().having(gpus))(workload, gpus)


def outcomes(
    models: Mapping[str, Model],
    here: Here | None = None,
    base: Path | None = None,
    prices: Prices | None = None,
    rough: bool = False,
    ends: bool = False,
    tracer: SparingTracer | None = None,
) -> Callable[[Workload, GpuSet], Outcome]:
    """What candidates come to, one like another: by the evidence that there is now, which is read once.

    Where they are many, `rough` ones do: formulas say them, unless a model has none, and what is expected of
    bytes is less exact; and `tracer` traces them. With `ends` of their times where these are asked for.
    """
    from ullage.memory.estimate import demand_of, process_of
    from ullage.memory.held import held_roles, loaded_of
    from ullage.memory.needs import RECENT
    from ullage.planning.outcome import IMPOSSIBLE, outcome_of

    known = past_runs()

    @lru_cache(maxsize=RECENT)
    def laid(workload: Workload) -> tuple[Phase, ...]:
        return phases(workload)

    @lru_cache(maxsize=RECENT)
    def needed(
        workload: Workload, held: tuple[tuple[str, Loaded], ...], process: Process, several: bool
    ) -> tuple[Demand, tuple[str, ...]]:
        """Cards on which it is held alike share it. With roles whose passes were not traced."""
        tracing = tracing_by(workload.memory.fidelity, base)._replace(says=not rough)
        if tracer is not None:
            tracing = tracing._replace(trace=tracer.trace)
        found = demand_of(laid(workload), dict(held), process, tracing, several, rough)
        return found, () if tracer is None else tracer.heard(workload.roles)

    def come_to(workload: Workload, gpus: GpuSet) -> Outcome:
        abilities, process = gpus.abilities, overhead(known, workload, gpus, here)
        try:
            roles = held_roles(laid(workload), models, abilities, _cards(gpus))
            held = tuple(loaded_of(roles).items())
            demand, untraced = needed(workload, held, process_of(abilities, process), len(gpus.gpus) > 1)
        except InputError:
            untraced = () if tracer is None else tracer.heard(workload.roles)
            if not untraced:
                raise
            return IMPOSSIBLE._replace(untraced=untraced)
        taken = times(known, workload, gpus, here)
        found = outcome_of(workload, demand, gpus, prices, taken, with_ends=ends)
        return found._replace(untraced=untraced) if untraced else found

    return come_to
