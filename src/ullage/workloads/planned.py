"""From a workload to its plan: the models it names, its kind's phases, the precisions that fit."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ullage.errors import FormatError, InputError
from ullage.workloads.encoders import read_alone, with_labels
from ullage.workloads.fidelity import any_counted, tracing_by, unsearched, with_fidelity
from ullage.workloads.learned import overhead, past_runs, times
from ullage.workloads.loading import folder_of, load
from ullage.workloads.probed import with_probe_shapes

if TYPE_CHECKING:
    from ullage.facts.architecture import Model
    from ullage.facts.gpu import GpuSet
    from ullage.facts.price import Prices
    from ullage.memory.demand import Demand
    from ullage.phases.hosted import Requests
    from ullage.phases.phase import Phase
    from ullage.planning.advice.advise import Advised
    from ullage.planning.advice.measured import Losses
    from ullage.planning.advice.trials import SearchLimit
    from ullage.planning.outcome import Outcome
    from ullage.planning.plan import Plan
    from ullage.records.observation import Here
    from ullage.spec.workload import Fidelity, Workload
    from ullage.units import Interval


LARGEST_MEASURED: Final = 16_000_000
"""Bytes of a file that measures losses; one has some thousands."""


def plan(
    workload: Workload | str | Path | Mapping[str, object],
    gpus: str | None = None,
    *,
    base: Path | None = None,
    advice: bool = True,
    for_: str = "cost",
    keep: Iterable[str] = (),
    measured: Iterable[str | Path] = (),
    here: Here | None = None,
    prices: Prices | None = None,
    fidelity: str | None = None,
) -> Plan:
    """The plan of a workload, given as it is, as its file or as a mapping, on `gpus` or those of its budget;
    with `advice`, in the order and with what is kept as `advise` says.

    Paths in it are relative to `base`: without one to the file's folder, or to where the program runs. `here`
    is the process that will carry it out, where that is known; `prices` the price lists that count, without
    one those that come with Ullage. `fidelity` stands for `memory.fidelity` of the file. Raises
    MissingExtraError where something has to be traced, and torch is not installed.
    """
    from ullage.planning.hosted import hosted
    from ullage.planning.planner import make_plan
    from ullage.planning.storage import over_disk, stored
    from ullage.spec.workload import Workload
    from ullage.workloads.asked import asked_ways

    if isinstance(workload, str | Path):
        base = folder_of(workload) if base is None else base
    if isinstance(workload, str | Path | Mapping):
        workload = load(workload)
    elif not isinstance(workload, Workload):
        raise InputError(f"{workload!r}: is no workload: give one, a mapping laid out as its file, or a path")
    if fidelity is not None:
        workload = with_fidelity(workload, fidelity)
    chosen = gpu_set(workload, gpus)
    workload, models = at_commits(workload, models_of(workload, base))
    workload = with_probe_shapes(with_labels(workload, models), base, models)
    workload, unwritten = read_alone(workload, models)
    workload, warnings = settle(workload, chosen, models, here, base)
    demand = estimate(workload, models, chosen, here, base)
    ways, known = asked_ways(workload, models, chosen), past_runs()
    took = times(known, workload, chosen, here)
    found = make_plan(workload, demand, models, chosen, base or Path(), ways, prices, took)
    found = replace(found, stored=stored(workload, models, base))
    warnings = (*warnings, *over_disk(found), *_not_done(workload, models, base))
    asked = gpus or workload.budget.gpus or ""
    if known is not None and known.warning:
        warnings = (*warnings, known.warning)
    notes = (*found.notes, *_of_hubs(models), *unwritten, *unsearched(advice, models))
    asked_for = hosted(workload, requests(workload))
    found = replace(found, asked=asked, warnings=warnings, notes=notes, hosted=asked_for)
    if not advice:
        return found
    return advised(found, for_=for_, keep=keep, measured=measured, prices=prices)


def models_of(workload: Workload, base: Path | None = None) -> dict[str, Model]:
    """The model behind each name the workload's local roles use, opened once."""
    from ullage.phases.blocks import is_local
    from ullage.workloads.opened import opened_model

    local = [role for role in workload.roles.values() if is_local(role)]
    drafts = [draft for role in local if (draft := role.settings.drafts()) is not None]
    names = dict.fromkeys([*(role.model for role in local), *drafts])
    return {name: opened_model(name, base) for name in names}


def at_commits(workload: Workload, models: Mapping[str, Model]) -> tuple[Workload, dict[str, Model]]:
    """The workload with each hub's model named at the commit that was read, and the models by those names:
    what is planned is then what is fetched and run."""
    from ullage.facts.hub_name import is_at_commit

    named = {name: model.name if is_at_commit(model.name) else name for name, model in models.items()}
    roles = {name: role.naming(named) for name, role in workload.roles.items()}
    if all(name == now for name, now in named.items()):
        return workload, dict(models)
    return workload.model_copy(update={"roles": roles}), {named[name]: each for name, each in models.items()}


def _of_hubs(models: Mapping[str, Model]) -> Iterator[str]:
    """Where each hub's model was read."""
    from ullage.facts.hub_name import is_at_commit

    adapters = (getattr(model, "adapter", None) for model in models.values())
    for name in (*(model.name for model in models.values()), *(each.base for each in adapters if each)):
        if is_at_commit(name):
            repository, _, commit = name.partition("@")
            yield f"{repository}: as its hub has it at commit {commit}; headers and configs were read alone"


def _not_done(workload: Workload, models: Mapping[str, Model], base: Path | None) -> Iterator[str]:
    """What generation configs ask for and no kind of workload does, a line for each model that writes."""
    from ullage.facts.generation import asked_for
    from ullage.facts.model import folder_of

    said: dict[str, tuple[str, ...]] = {}
    for role in workload.roles.values():
        adapter = getattr(models.get(role.model), "adapter", None)
        name = role.model if adapter is None else adapter.base
        folder = folder_of(name, base) if role.runs_with.local else None
        found = asked_for(folder) if folder is not None else ()
        if workload.new_tokens if role.new_tokens is None else role.new_tokens:
            said[role.model] = found
    for model, asked in said.items():
        if asked:
            yield (
                f"{model}: its generation_config asks for {', '.join(asked)}, which is not done: the "
                "likeliest token is taken, or one drawn as the workload says"
            )


def needs_card(workload: Workload) -> bool:
    """Whether a role is held here, so that what there is of cards bears on it."""
    from ullage.phases.blocks import is_local

    return any(map(is_local, workload.roles.values()))


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
    cards = _cards(gpus)
    tracing = tracing_by(workload.memory.fidelity, base)
    return estimate_phases(phases(workload), models, gpus.abilities, beside, tracing, cards)


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

    come_to = outcomes(models, here, base, fidelity=workload.memory.fidelity)

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
    return outcomes(models, here, base, fidelity=workload.memory.fidelity)(workload, gpus)


def outcomes(
    models: Mapping[str, Model],
    here: Here | None = None,
    base: Path | None = None,
    prices: Prices | None = None,
    fidelity: Fidelity | None = None,
) -> Callable[[Workload, GpuSet], Outcome]:
    """What candidates come to, one like another: by the evidence that there is now, which is read once.

    Without a `fidelity` they are weighed by formulas, for they are many; where a model has none, by traces.
    """
    from ullage.memory.estimate import estimate as estimate_phases
    from ullage.planning.outcome import outcome_of

    known = past_runs()
    tracing = tracing_by(fidelity or "auto", base)._replace(says=fidelity is not None)

    def come_to(workload: Workload, gpus: GpuSet) -> Outcome:
        beside = overhead(known, workload, gpus, here)
        demand = estimate_phases(phases(workload), models, gpus.abilities, beside, tracing, _cards(gpus))
        return outcome_of(workload, demand, gpus, prices, times(known, workload, gpus, here))

    return come_to


def advise(
    plan: Plan,
    *,
    for_: str = "cost",
    keep: Iterable[str] = (),
    measured: Iterable[str | Path] = (),
    prices: Prices | None = None,
    limit: SearchLimit | None = None,
) -> Advised:
    """What would make a plan's workload fit, cheaper or faster: the best that is found within `limit` (None:
    half a second's work), in the order that `for_` asks for: `cost`, `time` or `quality`.

    Nothing that a path in `keep` leads to is changed: `roles.judge.precision`, or `budget.gpus` for the
    cards. `measured` are files that `ullage probe drift --json` or `ullage pii compare --json` wrote: the
    losses of fewer bits in them stand in place of assumed ones. `prices` are the lists that count, without
    one those that come with Ullage. Raises InputError for an unknown order, a path to nothing, a file that
    measures nothing, and where all is kept.
    """
    from ullage.facts.price import known_prices
    from ullage.planning.advice.advise import advise, usual_limit
    from ullage.spec.changes import apply_changes

    return advise(
        plan.workload,
        plan.gpus,
        outcomes(plan.models, base=plan.base, prices=prices),
        apply_changes,
        prices or known_prices(),
        for_=for_,
        keep=tuple(keep),
        host=_host_memory(plan),
        losses=_losses(measured),
        limit=usual_limit(len(plan.phases)) if limit is None else limit,
    )


def _losses(files: Iterable[str | Path]) -> Losses:
    """What files measure. Raises InputError for one that cannot be read, or measures nothing."""
    from ullage.files import read_text
    from ullage.planning.advice.measured import read_losses

    found = []
    for file in files:
        try:
            document = json.loads(read_text(Path(file), LARGEST_MEASURED))
        except OSError as error:
            raise InputError(f"{file}: cannot be read: {error.strerror or error}") from error
        except (ValueError, RecursionError) as error:
            raise FormatError(f"{file}: is no JSON: {error}") from error
        found.append((str(file), document if isinstance(document, dict) else {}))
    return read_losses(found)


def advised(
    plan: Plan,
    *,
    for_: str = "cost",
    keep: Iterable[str] = (),
    measured: Iterable[str | Path] = (),
    prices: Prices | None = None,
) -> Plan:
    """The plan with its advice; without any where all of its roles run elsewhere, and where no row describes
    a model: each candidate would have to be traced."""
    if not plan.models or any_counted(plan.models):
        return plan
    found = advise(plan, for_=for_, keep=keep, measured=measured, prices=prices)
    return replace(plan, advice=found.entries, search=found.search)


def _host_memory(plan: Plan) -> int | None:
    """Bytes of host memory that the file, or this machine where it is the one in question, states."""
    from ullage.facts.machine import processor
    from ullage.units import parse_bytes

    stated = plan.workload.budget.host_memory
    if stated is not None:
        return parse_bytes(stated)
    if plan.asked.strip().casefold() in ("cpu", "local"):
        return processor().gpus[0].usable.low
    return None
